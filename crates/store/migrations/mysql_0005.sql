-- Retention empties old events and leaves their rows, so that what a terminal sends again is
-- still known; the feed does not show them.
CREATE OR REPLACE VIEW event_feed AS
SELECT e.seq AS seq, LOWER(HEX(e.event_uid)) AS event_uid, d.tenant AS tenant, d.vendor AS vendor,
       d.serial AS serial, d.name AS device_name, e.kind AS kind, e.person AS person,
       e.card AS card, e.local_time AS local_time, e.time_zone AS time_zone,
       e.occurred_at AS occurred_at, e.received_at AS received_at,
       e.status_code AS status_code, e.verify_code AS verify_code, e.vendor_code AS vendor_code,
       e.direction AS direction, e.door AS door, e.route AS route, e.timeliness AS timeliness,
       e.clock AS clock, e.attributes AS attributes, e.raw AS raw
FROM event e STRAIGHT_JOIN device d FORCE INDEX (PRIMARY) ON d.device_id = e.device_id
WHERE d.canary = 0 AND e.timeliness <> 'retired';
