import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { fetchBrokers, loadMarkets, type Broker } from '@/api/brokers'

/** The user's accounts on exchanges. */
export const useBrokers = defineStore('brokers', () => {
  const list = ref<Broker[]>([])
  const byDefault = computed(() => list.value.find((broker) => broker.is_default) ?? list.value[0] ?? null)

  async function refresh(): Promise<void> {
    list.value = await fetchBrokers()
  }

  /** Asks the markets again once per exchange (they are shared by its brokers). */
  async function reloadMarkets(): Promise<void> {
    await refresh()
    const perExchange = new Map(list.value.map((broker) => [`${broker.exchange}/${broker.is_testnet}`, broker]))
    await Promise.all([...perExchange.values()].map((broker) => loadMarkets(broker.id)))
  }

  return { list, byDefault, refresh, reloadMarkets }
})
