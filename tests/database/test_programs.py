"""PostgreSQL's programs get the address through their environment, never through their arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from crown.database.programs import find_program, libpq_environment, run_program
from crown.errors import ConfigurationError, CrownError

ADDRESS = "postgresql://ann:s%40fe@db.example:6432/crown?sslmode=require"


def test_every_part_of_the_address_reaches_the_program() -> None:
    assert libpq_environment(ADDRESS) == {
        "PGHOST": "db.example",
        "PGPORT": "6432",
        "PGUSER": "ann",
        "PGPASSWORD": "s@fe",
        "PGDATABASE": "crown",
        "PGSSLMODE": "require",
    }
    assert libpq_environment("postgresql://postgres:@/crown?host=%2Ftmp%2Fx") == {
        "PGHOST": "/tmp/x",
        "PGUSER": "postgres",
        "PGDATABASE": "crown",
    }


def test_a_parameter_that_programs_do_not_take_is_named() -> None:
    with pytest.raises(ConfigurationError, match="parameter nonsense"):
        libpq_environment("postgresql://h/d?nonsense=1")


def test_a_password_is_in_no_argument_and_in_no_error(tmp_path: Path) -> None:
    program = tmp_path / "pg_show"
    program.write_text('#!/bin/sh\ntr "\\0" " " < /proc/$$/cmdline\necho "| $PGPASSWORD"\n')
    program.chmod(0o755)
    arguments, _, password = run_program(program, ["--file=x"], ADDRESS, "Showing").partition("|")
    assert password.strip() == "s@fe"
    assert "--file=x" in arguments
    assert "s@fe" not in arguments
    program.write_text("#!/bin/sh\necho 'pg_show: error: no such thing' >&2\nexit 3\n")
    with pytest.raises(CrownError, match="Showing failed: pg_show: error: no such thing") as caught:
        run_program(program, [], ADDRESS, "Showing")
    assert "s@fe" not in str(caught.value)


def test_a_program_that_is_too_old_is_never_used() -> None:
    assert find_program("pg_dump", 18).name == "pg_dump"
    with pytest.raises(ConfigurationError, match="No pg_dump of PostgreSQL 99 or later"):
        find_program("pg_dump", 99)
