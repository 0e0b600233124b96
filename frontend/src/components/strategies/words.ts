/** Why a simulated position ended, as the backtest names it. */
export const REASONS: Record<string, string> = {
  signal: 'signal',
  stop_loss: 'stop loss',
  take_profit: 'take profit',
  hole: 'trou dans les bougies',
}
