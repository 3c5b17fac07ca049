"""Buckets of Google Cloud Storage: gs://bucket/store."""

import os

from orchestrator.store.buckets import ENDPOINT_OPTIONS, BucketAddress, open_bucket
from orchestrator.store.object_folder import ObjectFolder
from orchestrator.store.requests import Effort

SETTINGS = "GOOGLE_APPLICATION_CREDENTIALS (or gcloud auth application-default login)"


def open_gcs(address: BucketAddress, effort: Effort) -> ObjectFolder:
    """A folder of a bucket. Raises `UserError` where there is something in the address that cannot be."""
    from obstore.store import GCSStore

    address.refuse_user()
    address.refuse_others(ENDPOINT_OPTIONS)
    endpoint = address.endpoint(os.environ.get("GOOGLE_BASE_URL"))
    given = {"bucket": address.bucket, "base_url": endpoint}
    return open_bucket(GCSStore, address, endpoint, SETTINGS, given, effort)
