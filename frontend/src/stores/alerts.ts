import { defineStore } from 'pinia'
import { ref } from 'vue'
import * as api from '@/api/alerts'

/** The user's alerts, where they go and which kinds are sent. Addresses are masked by the server. */
export const useAlerts = defineStore('alerts', () => {
  const addresses = ref<api.AlertAddress[]>([])
  const kinds = ref<api.AlertKind[]>([])
  const recent = ref<api.Alert[]>([])

  async function refresh(): Promise<void> {
    ;[addresses.value, kinds.value, recent.value] = await Promise.all([api.fetchAddresses(), api.fetchKinds(), api.fetchAlerts()])
  }

  async function refreshOutcome(): Promise<void> {
    ;[addresses.value, recent.value] = await Promise.all([api.fetchAddresses(), api.fetchAlerts()])
  }

  async function add(address: string): Promise<api.AlertAddress> {
    const made = await api.addAddress(address)
    addresses.value = [...addresses.value, made]
    return made
  }

  async function turn(id: number, isActive: boolean): Promise<void> {
    const changed = await api.switchAddress(id, isActive)
    addresses.value = addresses.value.map((one) => (one.id === id ? changed : one))
  }

  async function remove(id: number): Promise<void> {
    await api.removeAddress(id)
    addresses.value = addresses.value.filter((one) => one.id !== id)
  }

  /** Sends a test message; whatever comes of it, the card then shows what the server knows. */
  async function test(id: number): Promise<number> {
    try {
      return (await api.testAddress(id)).elapsed_ms
    } finally {
      await refreshOutcome()
    }
  }

  async function choose(next: api.AlertKind[]): Promise<void> {
    kinds.value = await api.chooseKinds(next)
  }

  return { addresses, kinds, recent, refresh, add, turn, remove, test, choose }
})
