/** The French words and colours of the statistics. */
import type { Mode, StatsStrategy, StatsTrade, StatsTradeDetail } from '@/api/stats'
import type { GainLine } from '@/components/charts/GainChart.vue'
import type { Source } from '@/stores/stats'

export const SOURCE_WORDS: Record<Source, string> = { manual: 'Manuel', strategy: 'Stratégies', webhook: 'Webhooks', external: 'Hors Aristobot' }
export const SOURCE_TONES: Record<Source, GainLine['tone']> = { manual: 'c-ind-3', strategy: 'c-line', webhook: 'c-ind-1', external: 'c-ind-2' }
export const MODE_WORDS: Record<Mode, string> = { real: 'réel', testnet: 'testnet', simulation: 'simulation' }

/** What a row of results by strategy is called. */
export function strategyName({ source, name }: Pick<StatsStrategy, 'source' | 'name'>): string {
  if (name) return name
  return source === 'strategy' ? 'Stratégie supprimée' : SOURCE_WORDS[source]
}

/** Where a trade came from, in a few words. */
export function tradeOrigin({ source, label }: Pick<StatsTrade, 'source' | 'label'>): string {
  if (label) return label
  return { manual: 'Manuel', strategy: 'Stratégie supprimée', webhook: 'Webhook', external: 'Hors Aristobot' }[source]
}

const REASONS: Record<string, string> = {
  user: 'Position clôturée à la main', signal: 'Signal de sortie de la stratégie', stop_loss: 'Stop Loss atteint', take_profit: 'Take Profit atteint',
  unprotected: 'Vendue d’office : sa protection ne pouvait plus être posée',
}
const ASKED: Record<Source, string> = {
  manual: 'Vente demandée à la main', strategy: 'Vente décidée par la stratégie', webhook: 'Vente demandée par un webhook', external: 'Vente faite hors d’Aristobot',
}

/** Why what was held was sold, in a few words; a reason the server words itself is shown as it is. */
export function closingWords({ closing_reason: reason, trade }: Pick<StatsTradeDetail, 'closing_reason' | 'trade'>): string {
  if (!reason) return ASKED[trade.source]
  return reason === 'signal' && trade.source === 'webhook' ? ASKED.webhook : (REASONS[reason] ?? reason)
}

/** A ratio (`0.478`) as an unsigned percentage with one decimal, in a form for `formatNumber`. */
export function percent(ratio: string | null): string | null {
  return ratio === null ? null : (Number(ratio) * 100).toFixed(1)
}

/** How long each bar of a list is, in percent of the longest. */
export function barShares(values: readonly string[]): number[] {
  const sizes = values.map((value) => Math.abs(Number(value)))
  const longest = Math.max(...sizes, 0)
  return sizes.map((size) => (longest === 0 ? 0 : (size / longest) * 100))
}
