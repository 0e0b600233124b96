import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import * as api from '@/api/brokers'
import type { Broker, BrokerChange, Exchange, NewBroker } from '@/api/brokers'
import { useSession } from './session'

/** The user's accounts on exchanges, and the exchanges an account can be opened at. */
export const useBrokers = defineStore('brokers', () => {
  const list = ref<Broker[]>([])
  const exchanges = shallowRef<Exchange[]>([])
  const byDefault = computed(() => list.value.find((broker) => broker.is_default) ?? list.value[0] ?? null)

  async function refresh(): Promise<void> {
    list.value = await api.fetchBrokers()
  }

  /** The catalogue does not change while the server runs: asked once. */
  async function loadExchanges(): Promise<void> {
    if (!exchanges.value.length) exchanges.value = await api.fetchExchanges()
  }

  /** The default broker decides the mode that the header shows. */
  async function afterChange(): Promise<void> {
    await Promise.all([refresh(), useSession().refresh()])
  }

  async function create(body: NewBroker): Promise<Broker> {
    const made = await api.createBroker(body)
    await afterChange()
    return made
  }

  async function change(id: number, body: BrokerChange): Promise<Broker> {
    const changed = await api.changeBroker(id, body)
    await afterChange()
    return changed
  }

  async function remove(id: number): Promise<void> {
    await api.deleteBroker(id)
    await afterChange()
  }

  /** Loads the markets of that broker's exchange again; its neighbours there share them. */
  async function loadMarkets(id: number): Promise<void> {
    await api.loadMarkets(id)
    await refresh()
  }

  /** Asks the markets again once per exchange (they are shared by its brokers). */
  async function reloadMarkets(): Promise<void> {
    await refresh()
    const perExchange = new Map(list.value.map((broker) => [`${broker.exchange}/${broker.is_testnet}`, broker]))
    await Promise.all([...perExchange.values()].map((broker) => api.loadMarkets(broker.id)))
  }

  return { list, exchanges, byDefault, refresh, loadExchanges, create, change, remove, loadMarkets, reloadMarkets }
})
