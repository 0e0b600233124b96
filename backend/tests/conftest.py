"""What every test of the backend shares."""

import os
from collections.abc import Iterator

import pytest
from asgiref.sync import SyncToAsync
from django.db import connections
from hypothesis import settings

from tests.emptying import empty_after_tests

# Hypothesis counts the clock's milliseconds of each example: on a busy machine that says nothing of the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

if "ARISTOBOT_TEST_DATABASE_URL" not in os.environ:  # the role at another server may not silence triggers
    empty_after_tests()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """Close the connection of the thread in which async tests call the ORM, before their database is dropped."""
    yield
    _close_in_the_async_tests_thread()


@pytest.fixture
def sessions_may_be_cut(transactional_db: None) -> Iterator[None]:
    """For a test that ends every session of its base: those of the tests themselves are then opened anew."""
    yield
    connections.close_all()
    _close_in_the_async_tests_thread()


def _close_in_the_async_tests_thread() -> None:
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()
