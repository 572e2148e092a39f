import { factsOf } from '../../packages/facts.js'
import { machineOf } from '../../packages/forms.js'
import { TWELVE } from '../../packages/sets.js'
import { type Case, isStacked } from '../checks.js'

/** What runs where these packages are installed. */
const RUNNING = [
  ...['nginx', 'redis-server', 'ssh', 'postgresql', 'mosquitto', 'avahi-daemon', 'cron', 'gpsd'].map(
    (name) => `${name}.service`,
  ),
  ...['prometheus-node-exporter.service', 'avahi-daemon.socket', 'gpsd.socket'],
]

/** Debian packages in an image; `npm run test:packages` compares many more with the installed ones. */
export function cases(): Case[] {
  return [
    {
      name: 'debian packages: twelve services of a whole system run and answer',
      boot: 'container',
      machine: machineOf('image', TWELVE),
      check(t, outcome) {
        isStacked(t, outcome)
        const facts = factsOf(outcome.reports)
        for (const { name, request } of TWELVE.packages)
          if (request) t.equal(outcome.reports.get(`request:${name}`), 'yes', `${name} answers`)
        for (const unit of RUNNING) t.ok(facts.has(`unit ${unit} runs`), `${unit} runs`)
        for (const text of [
          'unit chrony.service is enabled',
          'unit hostapd.service is enabled',
          'unit wg-quick@.service is known',
          'group ssl-cert: postgres',
          '/etc/ssl/private/ssl-cert-snakeoil.key: f 640 root:ssl-cert',
          '/var/lib/postgresql: d 755 postgres:postgres',
          '/var/lib/redis: d 750 redis:redis',
          '/run/postgresql: d 2775 postgres:postgres',
        ])
          t.ok(facts.has(text), text)
      },
    },
  ]
}
