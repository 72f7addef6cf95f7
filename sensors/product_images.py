"""Product images: a run when people changed folders or decided, and when items are due."""

from crown.product_images import stages
from crown.product_images.share import folders
from crown.product_images.workspace import ASSETS, CUTOUTS, DEPARTMENT
from sensors.at_load import settings
from sensors.factories import decision_sensor, folder_sensor, pending_work_sensor
from sensors.schedules import cutouts_job, product_images_job

product_image_folders = folder_sensor(
    "product_image_folders",
    job=product_images_job,
    resource="images",
    seen=folders.seen_by_people,
    every=settings.product_images.inbox_interval_seconds,
    description="Looks at inbox, review and ready_for_formatting; a file counts when two looks found it the same.",
)
product_image_decisions = decision_sensor(
    "product_image_decisions",
    job=product_images_job,
    stages=f"{DEPARTMENT}/",
    every=30,
    description="Follows approvals, rejections and withdrawals from console, command line and share.",
)
product_image_work = pending_work_sensor(
    "product_image_work",
    # A person's retouch is planned and copied by the run that plans everything else.
    work=[(product_images_job, [asset for asset in ASSETS if asset != CUTOUTS]), (cutouts_job, [CUTOUTS])],
    resource="images",
    recipes=stages.recipe_state,
    every=45,
    description="Requests a run of a queue for items that are pending or due for another try, and after an edit of recipes"
    " or targets.",
)

SENSORS = [product_image_folders, product_image_decisions, product_image_work]
