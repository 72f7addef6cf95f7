"""Automation: SQL models are built when what they read was; nothing else is started by conditions."""

import dagster as dg

from sensors.schedules import QUEUE

sql_models_follow = dg.AutomationConditionSensorDefinition(
    "sql_models_follow",
    target='group:"sql"',
    minimum_interval_seconds=120,
    default_status=dg.DefaultSensorStatus.RUNNING,
    run_tags={QUEUE: "sql_models"},
    description="Builds each SQL model when a table it reads was made again; with a new day, those that ask for it.",
)

SENSORS = [sql_models_follow]
