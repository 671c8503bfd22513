"""Checks the OAuth 1.0a signature of a request to X (RFC 5849; oauthlib does the arithmetic)."""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from oauthlib.oauth1 import SIGNATURE_HMAC_SHA1, RequestValidator, ResourceEndpoint

#: tweepy signs for this host, which is a local variable of its client, wherever the request
#: is then sent (tweepy 4.17, `Client.request`).
SIGNED_HOST = "https://api.twitter.com"
#: X refuses a timestamp that is more than five minutes off.
WINDOW_SECONDS = 300


class Signatures:
    """Tells a request signed with the one accepted set of credentials from any other."""

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self._endpoint = ResourceEndpoint(_Validator(credentials))

    def verify(self, method: str, target: str, authorization: str) -> bool:
        """Whether the signature is right, in time, and its nonce was not seen before."""
        try:
            valid, _request = self._endpoint.validate_protected_resource_request(
                SIGNED_HOST + target, method, headers={"Authorization": authorization}
            )
        except ValueError:  # a header or a query that oauthlib cannot even take apart
            return False
        return bool(valid)


class _Validator(RequestValidator):
    """One application, one user; remembers nonces for as long as their timestamps count."""

    allowed_signature_methods = (SIGNATURE_HMAC_SHA1,)
    timestamp_lifetime = WINDOW_SECONDS
    # oauthlib verifies a request of an unknown client with these, so that its answer takes
    # the same time; nothing is accepted with them.
    dummy_client = "nobody"
    dummy_access_token = "nobody"  # noqa: S105

    def __init__(self, credentials: Mapping[str, str]) -> None:
        super().__init__()
        self._credentials = credentials
        self._nonces: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def check_client_key(self, client_key: str) -> bool:
        return bool(client_key)

    def check_access_token(self, request_token: str) -> bool:
        return bool(request_token)

    def check_nonce(self, nonce: str) -> bool:
        return bool(nonce)

    def validate_client_key(self, client_key: str, _request: Any) -> bool:
        return _equal(client_key, self._credentials["consumer_key"])

    def validate_access_token(self, _client_key: str, token: str, _request: Any) -> bool:
        return _equal(token, self._credentials["access_token"])

    def validate_realms(self, *_args: Any, **_named: Any) -> bool:
        return True

    def get_client_secret(self, _client_key: str, _request: Any) -> str:
        return self._credentials["consumer_secret"]

    def get_access_token_secret(self, _client_key: str, _token: str, _request: Any) -> str:
        return self._credentials["access_token_secret"]

    def validate_timestamp_and_nonce(
        self,
        client_key: str,  # noqa: ARG002 - the names are oauthlib's
        timestamp: str,  # noqa: ARG002
        nonce: str,
        *_args: Any,
        **_named: Any,
    ) -> bool:
        now = time.monotonic()
        with self._lock:
            # A timestamp may lie a window ahead, so its nonce must be known for two.
            while self._nonces and next(iter(self._nonces.values())) < now - 2 * WINDOW_SECONDS:
                self._nonces.popitem(last=False)
            fresh = nonce not in self._nonces
            self._nonces[nonce] = now
        return fresh


def _equal(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())
