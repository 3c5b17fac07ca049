"""Containers of Azure Blob Storage and Data Lake: abfss://container@account.dfs.core.windows.net/store.

Also `abfs://`, and `abfss://container/store` with the account in AZURE_STORAGE_ACCOUNT. Both are asked in the
language of blobs, which every account speaks.
"""

import os

from orchestrator.store.buckets import ENDPOINT_OPTIONS, BucketAddress, open_bucket
from orchestrator.store.object_folder import ObjectFolder
from orchestrator.store.requests import Effort
from trainer.problems import UserError

SETTINGS = "AZURE_STORAGE_KEY (or AZURE_STORAGE_SAS_TOKEN, or AZURE_CLIENT_ID with AZURE_CLIENT_SECRET and AZURE_TENANT_ID)"


def open_azure(address: BucketAddress, effort: Effort) -> ObjectFolder:
    """A folder of a container.

    Raises:
        UserError: there is something in the address that cannot be, or no account is named anywhere.
    """
    from obstore.store import AzureStore

    address.refuse_others(ENDPOINT_OPTIONS)
    container = address.user or address.bucket
    account, _, domain = address.bucket.partition(".") if address.user else ("", "", "")
    account = account or _first("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME")
    if not account:
        raise UserError(
            f"{address.text}: expected an account, as in "
            f"abfss://{container}@ACCOUNT.dfs.core.windows.net/store, or AZURE_STORAGE_ACCOUNT"
        )
    own = f"https://{account}.{domain.replace('dfs.', 'blob.', 1)}" if domain else None
    server = address.endpoint(None)
    endpoint = f"{server}/{account}" if server else own or os.environ.get("AZURE_STORAGE_ENDPOINT")
    given = {
        "container_name": container,
        "account_name": account,
        "account_key": os.environ.get("AZURE_STORAGE_KEY"),
        "endpoint": endpoint,
    }
    return open_bucket(AzureStore, address, endpoint, SETTINGS, given, effort)


def _first(*names: str) -> str:
    """The first of some environment variables that is set."""
    return next((os.environ[name] for name in names if os.environ.get(name)), "")
