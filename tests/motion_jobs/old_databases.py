"""SQLite databases as the old system wrote them, made by the tests: of its first revision and of its last."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

_BATCHES = """create table batches (batch_id varchar(50) primary key, csv_filename varchar(255), csv_path text,
    total_jobs integer, valid_jobs integer, invalid_jobs integer, status varchar(50), uploaded_at datetime,
    validated_at datetime, completed_at datetime, uploaded_by varchar(100) not null, validation_errors json,
    validation_warnings json)"""
_JOBS = """create table jobs (job_id varchar(50) primary key, psd_path text, aepx_path text, output_name varchar(255),
    client_name varchar(100), project_name varchar(100), priority varchar(20), notes text, batch_id varchar(50),
    current_stage integer, status varchar(50), stage0_completed_at datetime, stage0_completed_by varchar(100),
    stage1_started_at datetime, stage1_completed_at datetime, stage1_completed_by varchar(100), stage2_started_at datetime,
    stage2_completed_at datetime, stage2_completed_by varchar(100), stage3_started_at datetime,
    stage3_completed_at datetime, stage3_completed_by varchar(100), stage3_approved_with_warnings boolean,
    stage4_started_at datetime, stage4_completed_at datetime, stage4_completed_by varchar(100), created_at datetime,
    updated_at datetime, final_aep_path text, stage1_results json, stage2_approved_matches json,
    stage3_adjustments json{more})"""
_SIX = """, stage3_validation_results json, stage4_override boolean, stage4_override_reason text,
    stage5_started_at datetime, stage5_completed_at datetime, stage5_completed_by varchar(100), stage5_extendscript text,
    stage6_started_at datetime, stage6_completed_at datetime, stage6_completed_by varchar(100), stage6_approved boolean,
    stage6_approval_notes text, archived boolean, archived_at datetime, archived_by varchar(100)"""
_REST = (
    """create table job_warnings (warning_id integer primary key, job_id varchar(50), stage integer,
    warning_type varchar(50), severity varchar(20), message text, details json, resolved boolean, resolved_at datetime,
    resolved_by varchar(100), resolution_notes text, created_at datetime)""",
    """create table job_logs (log_id integer primary key, job_id varchar(50), stage integer, action varchar(100),
    message text, user_id varchar(100), extra_data json, created_at datetime)""",
    """create table job_assets (asset_id integer primary key, job_id varchar(50), asset_type varchar(50),
    asset_path text, asset_name varchar(255), file_size bigint, mime_type varchar(100), stage integer,
    extra_metadata json, created_at datetime)""",
)
BATCH = {
    "batch_id": "BATCH_20251030_143022", "csv_filename": "a.csv", "csv_path": "/old/a.csv", "total_jobs": 2,
    "valid_jobs": 2, "invalid_jobs": 0, "status": "processing", "uploaded_at": "2025-10-30 14:30:22.123456",
    "uploaded_by": "ben", "validation_errors": "[]", "validation_warnings": '[{"row": 2}]',
}  # fmt: skip
JOB = {
    "job_id": "J1", "psd_path": "/old/a.psd", "aepx_path": "/old/a.aepx", "output_name": "a.aepx", "priority": "high",
    "batch_id": "BATCH_20251030_143022", "current_stage": 4, "status": "ready_for_validation",
    "stage2_completed_at": "2025-10-30 15:00:00", "stage2_completed_by": "anna", "created_at": "2025-10-30 14:30:23",
    "updated_at": "2025-10-30 15:01:00", "stage1_results": json.dumps({"match_count": 3}),
}  # fmt: skip
WARNING = {
    "warning_id": 1, "job_id": "J1", "stage": 1, "warning_type": "missing_asset", "severity": "critical",
    "message": "gone", "details": "{}", "resolved": 1, "resolved_by": "anna", "resolved_at": "2025-10-30 15:00:01",
    "created_at": "2025-10-30 14:31:00",
}  # fmt: skip
LOG = {
    "log_id": 7, "job_id": "J1", "stage": 2, "action": "user_action:approve", "message": "it's \"done\" \\ 👽",
    "user_id": "anna", "extra_data": '{"n": 1}', "created_at": "2025-10-30 15:00:00",
}  # fmt: skip
ASSET = {
    "asset_id": 1,
    "job_id": "J1",
    "asset_type": "psd_flat",
    "asset_path": "/old/psd_flat.png",
    "file_size": 12,
}


def old_database(path: Path, six: bool = False, **rows: list[dict[str, Any]]) -> Path:
    """A database with the given rows by table; a table that is not given has one row."""
    given = {
        "batches": [BATCH],
        "jobs": [JOB],
        "job_warnings": [WARNING],
        "job_logs": [LOG],
        "job_assets": [ASSET],
        **rows,
    }
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in (_BATCHES, _JOBS.format(more=_SIX if six else ""), *_REST):
            connection.execute(statement)
        for table, entries in given.items():
            for row in entries:
                names = ", ".join(row)
                marks = ", ".join("?" * len(row))
                connection.execute(f"insert into {table} ({names}) values ({marks})", list(row.values()))
    return path
