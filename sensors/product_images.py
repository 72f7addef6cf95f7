"""Product images: a run when people changed folders or decided, and when items are due or recipes were edited."""

from crown.product_images import stages
from crown.product_images.share import folders
from crown.product_images.workspace import ASSETS, CUTOUTS, DEPARTMENT
from sensors.at_load import settings
from sensors.factories import FollowedDecisions, PendingWork, folder_sensor
from sensors.schedules import cutouts_job, product_images_job

product_image_folders = folder_sensor(
    "product_image_folders",
    job=product_images_job,
    resource="images",
    seen=folders.seen_by_people,
    every=settings.product_images.inbox_interval_seconds,
    description="Looks at inbox, review and ready_for_formatting; a file counts when two looks found it the same.",
)
DECISIONS = FollowedDecisions(product_images_job, f"{DEPARTMENT}/")
WORK = PendingWork(
    DEPARTMENT,
    resource="images",
    # A person's retouch is planned and copied by the run that plans everything else.
    jobs=[(product_images_job, [asset for asset in ASSETS if asset != CUTOUTS]), (cutouts_job, [CUTOUTS])],
    recipes=stages.recipe_state,
)

SENSORS = [product_image_folders]
