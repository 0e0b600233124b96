import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import { fetchHealth, SERVICES, type Health, type ServiceHealth, type ServiceName } from '@/api/core'
import type { ExchangeState, MarketsEvent, Summary } from '@/websocket/events'
import { live } from '@/websocket/live'
import type { Link } from '@/websocket/connection'
import { useSession } from './session'

export interface ServiceRow extends ServiceHealth {
  name: ServiceName
  label: string
}

export const SERVICE_LABELS: Record<ServiceName, string> = {
  web: 'Serveur web',
  heartbeat: 'Heartbeat primaire',
  heartbeat_secondary: 'Heartbeat secondaire',
  trading_engine: 'Moteur de trading',
  ccxt_service: 'Service CCXT',
  ccxt_service_standby: 'Service CCXT de secours',
  postgresql: 'PostgreSQL',
  redis: 'Redis',
}

/** What the status bar says: services, exchanges, live strategies, our own connection. */
export const useStatus = defineStore('status', () => {
  const health = shallowRef<Health | null>(null)
  const receivedAt = ref(0)
  const activeStrategies = ref<number | null>(null)
  const exchanges = ref<Record<string, ExchangeState>>({})
  const inUse = ref<ReadonlySet<string>>(new Set()) // of somebody's broker: a test of keys loads the markets of others
  const link = shallowRef<Link>({ state: 'closed', retryAt: null })
  const stops: (() => void)[] = []

  const services = computed<ServiceRow[]>(() =>
    SERVICES.flatMap((name) => {
      const service = health.value?.services[name]
      return service ? [{ ...service, name, label: SERVICE_LABELS[name] }] : []
    }),
  )
  const expected = computed(() => services.value.filter((service) => service.state !== 'absent'))
  const upCount = computed(() => expected.value.filter((service) => service.state === 'up').length)
  const exchangeList = computed(() => Object.values(exchanges.value))
  const loading = computed(() => exchangeList.value.find((exchange) => exchange.state === 'loading') ?? null)
  const broken = computed(() => exchangeList.value.find((exchange) => exchange.state === 'failed' && inUse.value.has(exchange.id)) ?? null)
  const loaded = computed(() => exchangeList.value.filter((exchange) => (exchange.count ?? 0) > 0))
  /** Whether the server has said anything of them yet. */
  const exchangesKnown = computed(() => activeStrategies.value !== null)
  const marketCount = computed(() => loaded.value.reduce((sum, exchange) => sum + (exchange.count ?? 0), 0))
  const liveStrategies = computed(() => activeStrategies.value ?? useSession().limits?.active_strategies ?? null)

  function setHealth(next: Health): void {
    health.value = next
    receivedAt.value = Date.now()
  }

  function setSummary(summary: Summary): void {
    activeStrategies.value = summary.active_strategies
    inUse.value = new Set(summary.exchanges.map((exchange) => exchange.id))
    exchanges.value = Object.fromEntries(summary.exchanges.map((exchange) => [exchange.id, exchange]))
  }

  function setMarkets(event: MarketsEvent): void {
    const { exchange: id, state, progress, count } = event
    const before = exchanges.value[id]
    exchanges.value = { ...exchanges.value, [id]: { id, state, progress, count: count ?? before?.count ?? null } }
  }

  async function refresh(): Promise<void> {
    setHealth(await fetchHealth())
  }

  /** Follows the server until `stop()`. */
  function start(): void {
    if (stops.length) return
    stops.push(
      live.watch((next) => (link.value = next)),
      live.on('status/health', setHealth),
      live.on('status/summary', setSummary),
      live.on('loading/markets', setMarkets),
    )
    live.connect()
  }

  function stop(): void {
    stops.splice(0).forEach((end) => end())
    live.disconnect()
    health.value = null
    activeStrategies.value = null
    exchanges.value = {}
    inUse.value = new Set()
  }

  return {
    health, receivedAt, services, expected, upCount, exchanges, exchangeList, loading, broken, loaded, exchangesKnown, marketCount,
    liveStrategies, link, refresh, setHealth, setSummary, setMarkets, start, stop,
  }
})
