import { computed, watch } from 'vue'
import { useStatus } from '@/stores/status'
import { useTrading } from '@/stores/trading'
import { useTime } from './useTime'

/**
 * Whether orders can reach the exchange, and why not: terminal 5 alone speaks to it.
 *
 * `trouble` is what a banner says; `blocked` is the reason beside a button that would wait for nothing.
 */
export function useGateway() {
  const status = useStatus()
  const trading = useTrading()
  const { precise } = useTime()

  const service = computed(() => status.health?.services.ccxt_service)
  const trouble = computed(() => {
    if (status.health?.services.redis?.state === 'down') return 'Redis ne répond plus : le terminal ne peut pas joindre le service d’échange (terminal 5).'
    if (!service.value || service.value.state === 'up') return null
    const seen = service.value.last_seen
    return `Le service d’échange (terminal 5) est arrêté${seen ? ` : dernier signe de vie à ${precise(seen).slice(0, 8)}` : ''}.`
  })
  const blocked = computed(() => {
    if (trading.link.state === 'lost') return 'Connexion au serveur Aristobot perdue : rien ne peut partir avant son retour.'
    return trouble.value && `${trouble.value} Aucun ordre ne part avant son retour.`
  })

  /** Runs `callback` each time the exchange is within reach again: what was shown meanwhile is old. */
  function onReturn(callback: () => void): void {
    watch(trouble, (now, before) => before && !now && callback())
  }
  return { trouble, blocked, onReturn }
}
