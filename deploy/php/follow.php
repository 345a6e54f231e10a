<?php
// Follows event_feed by seq and keeps each punch in the application's own table, once and in order.
//
// The number of the last row is kept in the application's database and moves in the transaction of
// its rows: whatever ends this program, the next run goes on where the database says. A number that
// was read is never followed by a new row below it, however many programs write, so that nothing is
// missed. Do not follow by time: terminals deliver days later.
//
//     FEED_DSN='mysql:host=10.0.0.20;dbname=satellite;charset=utf8mb4' FEED_USER=payroll
//     APP_DSN='mysql:host=127.0.0.1;dbname=portal;charset=utf8mb4' APP_USER=portal
//     FEED_PASSWORD, APP_PASSWORD, TENANT
//     php follow.php          # once, until there is nothing more: for cron
//     php follow.php --stay   # on and on

declare(strict_types=1);

const BATCH = 500;

function open_database(string $which): PDO
{
    return new PDO(
        (string) getenv("{$which}_DSN"),
        getenv("{$which}_USER") ?: null,
        getenv("{$which}_PASSWORD") ?: null,
        [
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
            PDO::ATTR_EMULATE_PREPARES => false,
            PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
        ]
    );
}

function prepare_tables(PDO $app): void
{
    $app->exec('CREATE TABLE IF NOT EXISTS feed_cursor (
        tenant VARCHAR(64) NOT NULL PRIMARY KEY, seq BIGINT NOT NULL) ENGINE=InnoDB');
    $app->exec('CREATE TABLE IF NOT EXISTS punch (
        event_uid CHAR(64) CHARACTER SET ascii NOT NULL PRIMARY KEY,
        serial VARCHAR(32) NOT NULL, person VARCHAR(255) NULL, local_time VARCHAR(64) NULL)
        ENGINE=InnoDB DEFAULT CHARSET=utf8mb4');
    $app->prepare('INSERT INTO feed_cursor (tenant, seq) VALUES (?, 0)
        ON DUPLICATE KEY UPDATE seq = seq')->execute([tenant()]);
}

function tenant(): string
{
    return (string) getenv('TENANT');
}

/** Takes the next rows over; how many there were. */
function step(PDO $feed, PDO $app): int
{
    $app->beginTransaction();
    // The lock keeps a second run of this program out until the commit.
    $where = $app->prepare('SELECT seq FROM feed_cursor WHERE tenant = ? FOR UPDATE');
    $where->execute([tenant()]);
    $seq = (int) $where->fetchColumn();

    $next = $feed->prepare("SELECT seq, event_uid, serial, person, local_time, kind FROM event_feed
        WHERE seq > ? AND tenant = ? ORDER BY seq LIMIT " . BATCH);
    $next->execute([$seq, tenant()]);
    $rows = $next->fetchAll();

    // After a restore a row can come once more, under the same event_uid and a new seq.
    $keep = $app->prepare('INSERT INTO punch (event_uid, serial, person, local_time)
        VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE event_uid = VALUES(event_uid)');
    foreach ($rows as $row) {
        if ($row['kind'] === 'punch') {
            $keep->execute([$row['event_uid'], $row['serial'], $row['person'], $row['local_time']]);
        }
        $seq = (int) $row['seq'];
    }
    $app->prepare('UPDATE feed_cursor SET seq = ? WHERE tenant = ?')->execute([$seq, tenant()]);
    $app->commit();
    return count($rows);
}

$app = open_database('APP');
$feed = open_database('FEED');
prepare_tables($app);
$stays = in_array('--stay', $argv, true);
do {
    $count = step($feed, $app);
    if ($count === 0 && $stays) {
        usleep(500000);
    }
} while ($count > 0 || $stays);
