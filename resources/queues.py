"""Queues: runs that take whatever is due of one kind of work, one run of each at a time (dagster.yaml).

The assets define a run of a queue, the sensors when it is requested.
"""

#: The run tag that names the queue.
TAG = "crown/queue"
#: The run tag of runs that make everything at once instead of their queue's part: those of commands.
WHOLE = "crown/whole"

#: From the inbox to production, but for the cut-outs that an engine makes: seconds of work at a time.
PRODUCT_IMAGES = "product_images"
#: Cut-outs made by an engine: hours of work, beside which people's decisions are followed.
CUTOUTS = "product_images_cutouts"
#: Downloads of pictures: what a slow network delays is nothing else of art records.
ART_ATTACHMENTS = "art_records_attachments"
#: From a batch file to its jobs, and looks at the files that jobs need.
MOTION_BATCHES = "motion_jobs_batches"
#: Roll-ups of days of samples.
DEVICES = "devices_roll_ups"
#: The jobs of one batch, as far as they go without a person.
MOTION_JOBS = "motion_jobs"
