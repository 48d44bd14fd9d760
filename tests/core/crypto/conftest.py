"""The suites under test: `sm` once by each provider, and `intl`."""

import pytest

from core.crypto import Suite, suite


def _suite(which: str) -> Suite:
    match which:
        case "sm-libcrypto":
            return suite("sm", sm2_provider="libcrypto")
        case "sm-gmssl":
            return suite("sm", sm2_provider="gmssl")
        case _:
            return suite("intl")


@pytest.fixture(params=["sm-libcrypto", "sm-gmssl", "intl"])
def any_suite(request: pytest.FixtureRequest) -> Suite:
    return _suite(request.param)


@pytest.fixture(params=["sm-libcrypto", "sm-gmssl"])
def sm(request: pytest.FixtureRequest) -> Suite:
    return _suite(request.param)
