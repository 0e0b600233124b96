import { onBeforeUnmount, ref } from 'vue'
import { ApiError } from '@/api/errors'
import { cancelQuickTest, quickTest, type QuickTest, type QuickTestDraft, type QuickTestNews } from '@/api/strategies'
import { newId } from '@/utils/ids'
import { live } from '@/websocket/live'

/** One quick test at a time: how far it is, and its end at the user's word or with the page. */
export function useQuickTest() {
  /** Null while none is under way. */
  const at = ref<QuickTestNews | null>(null)
  const cancelling = ref(false)
  const cancelled = ref(false)

  /** Returns null when it was cancelled. */
  async function run(draft: Omit<QuickTestDraft, 'id'>): Promise<QuickTest | null> {
    const id = newId()
    at.value = { id, phase: 'loading', progress: 0 }
    cancelled.value = false
    try {
      return await quickTest({ ...draft, id })
    } catch (error) {
      if (!(error instanceof ApiError && error.code === 'cancelled')) throw error
      cancelled.value = true
      return null
    } finally {
      at.value = null
      cancelling.value = false
    }
  }

  async function cancel(): Promise<void> {
    if (!at.value || cancelling.value) return
    cancelling.value = true
    try {
      await cancelQuickTest(at.value.id)
    } catch (error) {
      cancelling.value = false
      throw error
    }
  }

  const stop = live.on('backtests/quick_test', (news) => {
    if (news.id === at.value?.id) at.value = news
  })
  onBeforeUnmount(() => {
    stop()
    void cancel().catch(() => undefined) // nobody waits for it any more; it ends by itself too
  })

  return { at, cancelling, cancelled, run, cancel }
}
