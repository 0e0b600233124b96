import { defineStore } from 'pinia'
import { ref } from 'vue'
import { changeStrategy, createStrategy, deleteStrategy, fetchStrategies, type Strategy, type StrategyDraft } from '@/api/strategies'

const TOUCHED_KEY = 'aristobot.strategy'

/** The user's strategies; one object per id, whatever brought it. */
export const useStrategies = defineStore('strategies', () => {
  const list = ref<Strategy[]>([])
  /** The strategy one worked with last, on whatever page: what the other pages propose. Survives a reload. */
  const touched = ref(Number(localStorage.getItem(TOUCHED_KEY)) || null)

  function touch(id: number | null | undefined): void {
    if (!id) return
    touched.value = id
    localStorage.setItem(TOUCHED_KEY, String(id))
  }

  function upsert(strategy: Strategy): Strategy {
    const known = list.value.find((one) => one.id === strategy.id)
    if (!known) list.value.push(strategy)
    else Object.assign(known, strategy)
    return list.value.find((one) => one.id === strategy.id) ?? strategy
  }

  async function refresh(): Promise<void> {
    list.value = await fetchStrategies()
  }

  const create = async (draft: StrategyDraft): Promise<Strategy> => upsert(await createStrategy(draft))
  const change = async (id: number, draft: StrategyDraft): Promise<Strategy> => upsert(await changeStrategy(id, draft))

  async function remove(id: number): Promise<void> {
    await deleteStrategy(id)
    list.value = list.value.filter((one) => one.id !== id)
  }

  return { list, touched, touch, refresh, create, change, remove }
})
