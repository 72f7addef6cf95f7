"""Devices: inventory, lifecycle, samples by day, states, roll-ups, alerts. Units are in the names or comments of columns."""

from alembic import op

revision = "0170_devices"
down_revision = "0160_motion_renders"
branch_labels = None
depends_on = None

#: django-micboard's lifecycle of a receiver.
_LIFECYCLE = {
    "discovered": ("provisioning", "offline", "retired"),
    "provisioning": ("online", "offline", "discovered"),
    "online": ("degraded", "offline", "maintenance"),
    "degraded": ("online", "offline", "maintenance"),
    "offline": ("online", "degraded", "maintenance", "retired"),
    "maintenance": ("online", "offline", "retired"),
}
_ALERTS = {
    "pending": ("sent", "acknowledged", "resolved", "failed"),
    "sent": ("acknowledged", "resolved"),
    "failed": ("sent", "acknowledged", "resolved"),
    "acknowledged": ("resolved",),
}

_UP = """
create schema devices;

create table devices.manufacturers (
    code text primary key,
    name text not null unique,
    is_active boolean not null default true
);
insert into devices.manufacturers values ('shure', 'Shure'), ('sennheiser', 'Sennheiser');

create table devices.moves (
    machine text not null check (machine in ('lifecycle', 'alert')),
    old_state text not null,
    new_state text not null,
    primary key (machine, old_state, new_state)
);
insert into devices.moves values {moves};

create table devices.buildings (
    building_id integer generated always as identity primary key,
    name text not null unique,
    address text
);
create table devices.rooms (
    room_id integer generated always as identity primary key,
    building_id integer not null references devices.buildings,
    name text not null,
    level text,
    unique (building_id, name)
);
create table devices.locations (
    location_id integer generated always as identity primary key,
    building_id integer not null references devices.buildings,
    room_id integer references devices.rooms,
    name text not null,
    is_active boolean not null default true,
    unique nulls not distinct (building_id, room_id, name)
);

create table devices.receivers (
    receiver_id integer generated always as identity primary key,
    manufacturer text not null default 'shure' references devices.manufacturers,
    family text not null,
    model text,
    name text,
    serial text,
    mac text,
    address text,
    port integer not null default 2202 check (port between 1 and 65535),
    firmware text,
    rf_band text,
    lifecycle text not null default 'discovered' check
        (lifecycle in ('discovered', 'provisioning', 'online', 'degraded', 'offline', 'maintenance', 'retired')),
    location_id integer references devices.locations,
    last_seen_at timestamptz,
    reason text,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp()
);
create unique index receivers_serial on devices.receivers (manufacturer, serial) where serial is not null;
create unique index receivers_mac on devices.receivers (mac) where mac is not null;
create unique index receivers_address on devices.receivers (address, port) where address is not null;
comment on column devices.receivers.last_seen_at is 'when its last byte arrived; going offline leaves it as it is';
comment on column devices.receivers.reason is 'why it cannot be reached, in a sentence; null while it can';

create function devices.check_lifecycle() returns trigger language plpgsql as $$
begin
    if new.lifecycle <> old.lifecycle and not exists (select from devices.moves m
            where m.machine = 'lifecycle' and m.old_state = old.lifecycle and m.new_state = new.lifecycle) then
        raise exception 'Receiver % cannot go from % to %.', old.receiver_id, old.lifecycle, new.lifecycle
            using errcode = 'check_violation';
    end if;
    new.updated_at := clock_timestamp();
    return new;
end $$;
create trigger receiver_moves before update on devices.receivers
    for each row execute function devices.check_lifecycle();

create table devices.movements (
    movement_id bigint generated always as identity primary key,
    receiver_id integer not null references devices.receivers,
    at timestamptz not null default clock_timestamp(),
    what text not null check (what in ('address', 'location')),
    old_value text,
    new_value text
);

create table devices.channels (
    receiver_id integer not null references devices.receivers,
    channel smallint not null check (channel between 1 and 64),
    image text,
    primary key (receiver_id, channel)
);

create table devices.groups (
    group_number integer primary key,
    title text not null,
    hide_charts boolean not null default false
);
create table devices.group_slots (
    group_number integer not null references devices.groups on delete cascade,
    slot integer not null check (slot > 0),
    receiver_id integer not null,
    channel smallint not null,
    primary key (group_number, slot),
    foreign key (receiver_id, channel) references devices.channels
);
comment on table devices.group_slots is 'a slot is unique in its group only';

-- One row for each channel and second; partitions of a day (UTC) are made and dropped by the collector.
create table devices.samples (
    receiver_id integer not null,
    channel smallint not null,
    at timestamptz not null,
    rf_a_dbm smallint,
    rf_b_dbm smallint,
    audio_peak_dbfs smallint,
    audio_rms_dbfs smallint,
    antenna_a_active boolean,
    antenna_b_active boolean,
    quality smallint check (quality between 0 and 5),
    overload boolean,
    transmitter_present boolean,
    battery_bars smallint check (battery_bars between 0 and 5),
    battery_charge_percent smallint check (battery_charge_percent between 0 and 100),
    battery_minutes integer,
    battery_temperature_c smallint,
    reasons text
) partition by range (at);
create index samples_channel_at on devices.samples (receiver_id, channel, at);
comment on column devices.samples.at is 'the second in which it was received, UTC';
comment on column devices.samples.rf_a_dbm is 'level at antenna A, or the only level, in dBm';
comment on column devices.samples.rf_b_dbm is 'level at antenna B, in dBm';
comment on column devices.samples.audio_peak_dbfs is 'peak, or the only audio level, in dBFS';
comment on column devices.samples.audio_rms_dbfs is 'root mean square of the audio level, in dBFS';
comment on column devices.samples.quality is 'channel quality, 0 to 5; Axient Digital alone';
comment on column devices.samples.battery_bars is 'bars, 0 to 5';
comment on column devices.samples.battery_charge_percent is 'charge in percent';
comment on column devices.samples.battery_minutes is 'minutes that the battery lasts, as the pack reckons';
comment on column devices.samples.battery_temperature_c is 'temperature of the battery in degrees Celsius';
comment on column devices.samples.reasons is 'why a value is null: field and reason, separated by semicolons';

create table devices.state_changes (
    change_id bigint generated always as identity primary key,
    receiver_id integer not null,
    channel smallint,
    slot smallint,
    name text not null,
    value text,
    reason text,
    at timestamptz not null
);
create index state_changes_of on devices.state_changes (receiver_id, channel, name, at);
comment on table devices.state_changes is 'every change of what a device reports besides levels and battery, append-only';

create view devices.states as
    select receiver_id, channel, slot, name, value, reason, at as valid_from,
           lead(at) over (partition by receiver_id, channel, slot, name order by at, change_id) as valid_to
    from (select c.*, row_number() over w as place,
                 lag(value) over w is distinct from value or lag(reason) over w is distinct from reason as is_new
          from devices.state_changes c
          window w as (partition by receiver_id, channel, slot, name order by at, change_id)) each
    where place = 1 or is_new;

-- Which days have samples, and as of when they were rolled up.
create table devices.days (
    day date primary key,
    changed_at timestamptz not null
);
create table devices.rolled_up_days (
    day date primary key,
    as_of timestamptz not null,
    samples bigint not null,
    made_at timestamptz not null default clock_timestamp()
);
create table devices.five_minutes (
    receiver_id integer not null,
    channel smallint not null,
    at timestamptz not null,
    samples integer not null,
    present integer not null,
    lost integer not null,
    rf_min_dbm smallint,
    rf_average_dbm real,
    rf_max_dbm smallint,
    audio_average_dbfs real,
    audio_max_dbfs smallint,
    quality_min smallint,
    battery_min_percent smallint,
    battery_min_minutes integer,
    primary key (receiver_id, channel, at)
);
create index five_minutes_at on devices.five_minutes (at);
comment on column devices.five_minutes.at is 'when the five minutes begin, UTC';
comment on column devices.five_minutes.samples is 'seconds with a sample';
comment on column devices.five_minutes.present is 'seconds in which a transmitter was received';
comment on column devices.five_minutes.lost is 'seconds below the level at which a signal counts as lost';
comment on column devices.five_minutes.battery_min_percent is 'least charge in percent; of bars, 20 percent each';

create view devices.hourly as
    select receiver_id, channel, date_trunc('hour', at) as at, sum(samples) as samples, sum(present) as present,
           sum(lost) as lost, min(rf_min_dbm) as rf_min_dbm,
           sum(rf_average_dbm * samples) / nullif(sum(samples) filter (where rf_average_dbm is not null), 0)
               as rf_average_dbm,
           max(rf_max_dbm) as rf_max_dbm, max(audio_max_dbfs) as audio_max_dbfs, min(quality_min) as quality_min,
           min(battery_min_percent) as battery_min_percent, min(battery_min_minutes) as battery_min_minutes
    from devices.five_minutes group by 1, 2, 3;
create view devices.daily as
    select receiver_id, channel, cast(at at time zone 'UTC' as date) as day, sum(samples) as samples,
           sum(present) as present, sum(lost) as lost, min(rf_min_dbm) as rf_min_dbm,
           sum(rf_average_dbm * samples) / nullif(sum(samples) filter (where rf_average_dbm is not null), 0)
               as rf_average_dbm,
           max(rf_max_dbm) as rf_max_dbm, max(audio_max_dbfs) as audio_max_dbfs, min(quality_min) as quality_min,
           min(battery_min_percent) as battery_min_percent, min(battery_min_minutes) as battery_min_minutes
    from devices.five_minutes group by 1, 2, 3;

-- Files of the disk buffer that were entered: entering one again is refused by its name.
create table devices.entered_files (
    name text primary key,
    rows bigint not null,
    entered_at timestamptz not null default clock_timestamp()
);
create table devices.losses (
    loss_id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    rows bigint not null,
    reason text not null
);

create table devices.alerts (
    alert_id bigint generated always as identity primary key,
    type text not null check (type in ('battery_low', 'battery_critical', 'signal_loss', 'audio_low',
        'device_offline', 'device_online', 'interference', 'charger_slot')),
    severity text not null check (severity in ('low', 'medium', 'high')),
    receiver_id integer not null references devices.receivers,
    channel smallint,
    status text not null default 'pending' check
        (status in ('pending', 'sent', 'acknowledged', 'resolved', 'failed')),
    sentence text not null,
    snapshot jsonb not null default '{{}}',
    opened_at timestamptz not null,
    sent_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,
    resolved_at timestamptz,
    reason text
);
create unique index alerts_open on devices.alerts (receiver_id, channel, type) nulls not distinct
    where status <> 'resolved';
create index alerts_opened_at on devices.alerts (opened_at);

create function devices.check_alert() returns trigger language plpgsql as $$
begin
    if new.status <> old.status and not exists (select from devices.moves m
            where m.machine = 'alert' and m.old_state = old.status and m.new_state = new.status) then
        raise exception 'Alert % cannot go from % to %.', old.alert_id, old.status, new.status
            using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger alert_moves before update on devices.alerts for each row execute function devices.check_alert();

create view devices.open_alerts as
    select a.*, a.status in ('pending', 'sent', 'failed') and a.opened_at < now() - interval '30 minutes' as overdue
    from devices.alerts a where a.status <> 'resolved';
"""


def upgrade() -> None:
    moves = ", ".join(
        f"('{machine}', '{old}', '{new}')"
        for machine, table in (("lifecycle", _LIFECYCLE), ("alert", _ALERTS))
        for old, news in table.items()
        for new in news
    )
    op.execute(_UP.format(moves=moves))


def downgrade() -> None:
    op.execute("drop schema devices cascade")
