<?php
// A page with today's punches, read from event_feed with an account that may do nothing else
// (`payroll` in grants.sql). Names and people come from terminals: whatever stands in them is text.

declare(strict_types=1);

function shown(?string $text): string
{
    return htmlspecialchars($text ?? '', ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

$zone = new DateTimeZone(getenv('ZONE') ?: 'America/Mexico_City');
$midnight = new DateTimeImmutable('today', $zone);
$utc = new DateTimeZone('UTC');
$form = 'Y-m-d H:i:s';

header('Content-Type: text/html; charset=utf-8');
header("Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'");

$feed = new PDO((string) getenv('FEED_DSN'), getenv('FEED_USER') ?: null,
    getenv('FEED_PASSWORD') ?: null, [
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        PDO::ATTR_EMULATE_PREPARES => false,
        PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
    ]);
$punches = $feed->prepare('SELECT local_time, person, COALESCE(device_name, serial) AS place, direction
    FROM event_feed WHERE tenant = ? AND kind = ? AND occurred_at >= ? AND occurred_at < ?
    ORDER BY occurred_at DESC, seq DESC LIMIT 500');
$punches->execute([
    (string) getenv('TENANT'),
    'punch',
    $midnight->setTimezone($utc)->format($form),
    $midnight->modify('+1 day')->setTimezone($utc)->format($form),
]);
?>
<!doctype html>
<html lang="es">
<meta charset="utf-8">
<title>Checadas de hoy</title>
<h1>Checadas de hoy, <?= shown($midnight->format('d/m/Y')) ?></h1>
<table>
<tr><th>Hora</th><th>Persona</th><th>Dispositivo</th><th>Sentido</th></tr>
<?php foreach ($punches as $punch) { ?>
<tr><td><?= shown($punch['local_time']) ?></td><td><?= shown($punch['person']) ?></td><td><?= shown($punch['place']) ?></td><td><?= shown(['in' => 'entrada', 'out' => 'salida'][$punch['direction'] ?? ''] ?? '') ?></td></tr>
<?php } ?>
</table>
</html>
