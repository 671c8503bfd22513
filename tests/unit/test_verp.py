"""Return paths that say which mail bounced, and that nobody else can make."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from notifier.domain.verp import LONGEST_LOCAL_PART, check_base, read_verp, verp_address

BASE = "bounces@example.com"
KEY = b"a key of the tests, 32 bytes long"
ids = st.builds("{}-{}".format, st.integers(1, 10**12 - 1), st.integers(1, 10**13 - 1))
keys = st.binary(min_size=16, max_size=200)


def test_the_form_stays_as_it_is_because_bounces_arrive_days_later() -> None:
    assert verp_address(BASE, "12-345", KEY) == "bounces+12-345-udtsyg2cdwoved2a@example.com"


@given(ids, keys)
def test_a_return_path_is_read_back_whatever_case_it_comes_in(identity: str, key: bytes) -> None:
    address = verp_address(BASE, identity, key)
    assert re.fullmatch(rf"bounces\+{identity}-[a-z2-7]{{16}}@example\.com", address)
    assert read_verp(address, BASE, key) == identity
    assert read_verp(address.upper(), "Bounces@Example.com", key) == identity


@given(ids, ids, keys, keys)
def test_the_mac_of_one_mail_fits_no_other_and_no_other_key(
    one: str, other: str, key: bytes, other_key: bytes
) -> None:
    assume(one != other and key != other_key)
    address = verp_address(BASE, one, key)
    assert read_verp(address.replace(f"+{one}-", f"+{other}-"), BASE, key) is None
    assert read_verp(address, BASE, other_key) is None


@given(ids, st.data())
def test_a_return_path_with_any_one_character_changed_is_not_ours(
    identity: str, data: st.DataObject
) -> None:
    address = verp_address(BASE, identity, KEY)
    place = data.draw(st.integers(0, len(address) - 1))
    letter = data.draw(st.characters().filter(lambda c: c.lower() != address[place]))
    assert read_verp(address[:place] + letter + address[place + 1 :], BASE, KEY) is None
    assert read_verp(address[:place] + address[place + 1 :], BASE, KEY) is None


@given(st.one_of(st.text(), st.from_regex(r"bounces\+[^@]*@example\.com", fullmatch=True)))
def test_what_anybody_writes_is_not_ours_and_no_crash(address: str) -> None:
    assert read_verp(address, BASE, KEY) is None


def test_another_base_is_not_ours() -> None:
    address = verp_address(BASE, "1-1", KEY)
    assert read_verp(address, "bounces@example.org", KEY) is None
    assert read_verp(address, "returns@example.com", KEY) is None


@given(ids)
def test_the_local_part_never_grows_beyond_what_a_mail_server_takes(identity: str) -> None:
    base = check_base("b" * LONGEST_LOCAL_PART + "@example.com")
    local, _, _ = verp_address(base, identity, KEY).rpartition("@")
    assert len(local) <= 64  # RFC 5321 section 4.5.3.1.1


@pytest.mark.parametrize(
    "base",
    [
        "",
        "bounces",
        "@example.com",
        "bounces@",
        "bounces@example..com",
        "b@c@example.com",
        "b c@example.com",
        "b\n@example.com",
        "b@example.com\n",
        "b@example.com>",
        "Bounces <b@example.com>",
        "bé@example.com",
        "b@" + "e" * 254,
        "b" * (LONGEST_LOCAL_PART + 1) + "@example.com",
    ],
)
def test_a_base_no_return_path_can_be_made_of_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match="must be a plain address with at most 20 characters"):
        check_base(base)
