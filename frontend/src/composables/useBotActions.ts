import { computed, ref } from 'vue'
import type { Bot } from '@/api/bots'
import { ApiError, messageOf } from '@/api/errors'
import { useBots } from '@/stores/bots'
import { useToasts } from '@/stores/toasts'
import { useAction } from './useAsync'

/**
 * What can be done to a bot, and when it must be confirmed.
 *
 * Selling always asks; stopping asks when a position is open, which the server has the last word on.
 */
export function useBotActions(bot: () => Bot) {
  const bots = useBots()
  const toasts = useToasts()
  const sellOpen = ref(false)
  const stopOpen = ref(false)
  /** The cap that the account would bear, and why the present one keeps the bot from resuming. */
  const lowerCap = ref<{ amount: string; reason: string } | null>(null)

  async function reported(done: string, failed: string, work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work()
    } catch (error) {
      toasts.failure(failed, error)
      return false
    }
    toasts.push('ok', done, `${bot().strategy_name}, ${bot().symbol}`)
    return true
  }

  const suspend = useAction(() => reported('Bot suspendu', 'Suspension impossible', () => bots.suspend(bot().id)))
  const resume = useAction(async () => {
    lowerCap.value = null
    try {
      await bots.resume(bot().id)
    } catch (error) {
      const amount = error instanceof ApiError && error.code === 'cap_beyond_balance' ? String(error.details['available'] ?? '') : ''
      if (/[1-9]/.test(amount)) lowerCap.value = { amount, reason: messageOf(error) }
      else toasts.failure('Reprise impossible', error)
      return
    }
    toasts.push('ok', 'Bot repris', `${bot().strategy_name}, ${bot().symbol}`)
  })
  const resumeWithin = useAction(async () => {
    const cap = lowerCap.value
    if (!cap) return
    try {
      await bots.setCap(bot().id, cap.amount)
    } catch (error) {
      toasts.failure('Montant inchangé', error)
      return
    }
    await resume.run()
  })
  const sell = useAction(async () => {
    if (await reported('Vente au marché demandée', 'Vente impossible', () => bots.sell(bot().id))) sellOpen.value = false
  })

  const stop = useAction(async (how: { confirm: boolean; sell: boolean }) => {
    try {
      await bots.stopBot(bot().id, how)
    } catch (error) {
      if (error instanceof ApiError && error.code === 'open_position') stopOpen.value = true
      else toasts.failure('Arrêt impossible', error)
      return
    }
    stopOpen.value = false
    toasts.push('ok', how.sell ? 'Bot arrêté, vente au marché demandée' : 'Bot arrêté', `${bot().strategy_name}, ${bot().symbol}`)
  })

  return {
    sellOpen, stopOpen, lowerCap, suspend, resume, resumeWithin, sell, stop,
    canResume: computed(() => bot().state === 'suspended' || bot().state === 'paused_error'),
    canSuspend: computed(() => bot().state === 'running' || bot().state === 'waiting'),
    askSell: () => (sellOpen.value = true),
    askStop: () => (bot().position ? (stopOpen.value = true) : stop.run({ confirm: false, sell: false })),
  }
}

export type BotActions = ReturnType<typeof useBotActions>
