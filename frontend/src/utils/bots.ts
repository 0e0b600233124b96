/** Which bots the page shows, and which count. */
import type { Bot } from '@/api/bots'

const YEAR_MS = 366 * 86_400_000

/**
 * Whether a bot may be folded away: it is over, takes no place and holds nothing.
 *
 * A position left by a stopped bot is money: its card stays in sight.
 */
export function isFolded(bot: Bot): boolean {
  return isOver(bot) && !bot.is_active && bot.position === null
}

/** Whether a bot was stopped, by the user or by the end of its period. */
export function isOver(bot: Bot): boolean {
  return bot.state === 'stopped' || bot.state === 'ended'
}

/** Whether the end of a bot's period is too far from `now` (market time, in milliseconds) to be worth a line. */
export function endIsFar(bot: Bot, now: number): boolean {
  return Date.parse(bot.end_date) - now > YEAR_MS
}
