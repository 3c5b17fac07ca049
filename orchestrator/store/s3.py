"""Buckets of S3, and of what speaks its language (MinIO, Ceph): s3://bucket/store."""

import os
from pathlib import Path
from typing import Any

from orchestrator.store.buckets import ENDPOINT_OPTIONS, BucketAddress, open_bucket
from orchestrator.store.object_folder import ObjectFolder
from orchestrator.store.requests import Effort
from trainer.problems import UserError

SETTINGS = (
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE), and AWS_REGION (or ?region=...)"
)


def open_s3(address: BucketAddress, effort: Effort) -> ObjectFolder:
    """A folder of a bucket.

    Raises:
        UserError: there is something in the address that cannot be, or the profile that is meant cannot be read.
    """
    from obstore.store import S3Store

    address.refuse_user()
    address.refuse_others(ENDPOINT_OPTIONS | {"region"})
    of_environment = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    endpoint = address.endpoint(of_environment)
    given = {
        "bucket": address.bucket,
        "region": address.options.get("region"),
        "endpoint": endpoint,
        "credential_provider": _profile(address.text) if _means_a_profile() else None,
    }
    return open_bucket(S3Store, address, endpoint, SETTINGS, given, effort)


def _means_a_profile() -> bool:
    """Whether the keys are in a file: obstore itself reads the environment, and asks the machine's own role."""
    if "AWS_ACCESS_KEY_ID" in os.environ:
        return False
    file = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    return "AWS_PROFILE" in os.environ or Path(file).expanduser().is_file()


def _profile(address: str) -> Any:
    """The keys of a profile, found by boto3, which knows all its forms (files, single sign-on, roles)."""
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise UserError(
            f"{address}: profiles of AWS are read by boto3: pip install boto3, "
            "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    from botocore.exceptions import BotoCoreError

    try:
        return Boto3CredentialProvider()
    except (BotoCoreError, ValueError) as error:
        raise UserError(f"{address}: the profile of AWS has no credentials: {error}") from error
