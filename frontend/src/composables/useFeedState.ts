import { computed } from 'vue'
import { useGateway } from '@/composables/useGateway'
import { useStatus } from '@/stores/status'
import { useTrading } from '@/stores/trading'
import { useTradingFeed } from '@/stores/tradingFeed'

/** How the chosen market's feed is doing, as far as this page can still know. */
export function useFeedState() {
  const trading = useTrading()
  const feed = useTradingFeed()
  const gateway = useGateway()
  const status = useStatus()
  /** Either socket may be the first to notice that the server is gone. */
  const lost = computed(() => trading.link.state !== 'open' || status.link.state === 'lost')
  /** What the exchange's feed was said to be is no longer known once the server, or terminal 5 behind it, is lost. */
  const state = computed(() => (feed.feed && (lost.value || gateway.trouble.value) ? 'down' : feed.feed?.state))
  return { state, stopped: computed(() => state.value === 'stalled' || state.value === 'down') }
}
