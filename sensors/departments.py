"""The sensors that serve all departments at once; each declares in its own module what they need to know.

A further department adds its declarations here. Sensors of one department are in its module, as factories.py explains.
"""

from sensors import art_records, motion_jobs, product_images
from sensors.factories import decision_sensor, pending_work_sensor

decisions = decision_sensor(
    "decisions",
    departments=[product_images.DECISIONS, art_records.DECISIONS, motion_jobs.DECISIONS],
    every=30,
    description="Follows what people decide in console, command line and share: approvals, rejections, withdrawals,"
    " overrides and holds. Only departments with new decisions get a run.",
)
pending_work = pending_work_sensor(
    "pending_work",
    departments=[product_images.WORK, art_records.WORK, motion_jobs.WORK],
    every=45,
    description="Requests a run for items that are pending or due for another try (each batch of motion jobs has a run of"
    " its own, the highest priority first), and after an edit of recipes or targets.",
)

SENSORS = [decisions, pending_work]
