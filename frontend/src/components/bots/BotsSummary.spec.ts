import { cleanup, render, screen, within } from '@testing-library/vue'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import type { Bot } from '@/api/bots'
import { useBots } from '@/stores/bots'
import { useSession } from '@/stores/session'
import { useStatus } from '@/stores/status'
import { bot, position, session } from '@/testing/samples'
import BotsSummary from './BotsSummary.vue'

afterEach(cleanup)

/** The figures under each label, as they are read. */
function tiles(...list: Bot[]): (label: string) => string[] {
  const pinia = createPinia()
  setActivePinia(pinia)
  useSession().session = session()
  useStatus().setSummary({ active_strategies: 5, exchanges: [] })
  list.forEach((one) => useBots().merge(one))
  render(BotsSummary, { global: { plugins: [pinia] } })
  const region = within(screen.getByRole('region', { name: 'Résumé des bots' }))
  return (label) => {
    const tile = region.getByText(label).parentElement as HTMLElement
    return within(tile).getAllByRole('definition').map((one) => (one.textContent ?? '').trim())
  }
}

it('counts active bots as the limit does: switched on, also those in error', () => {
  const read = tiles(
    bot({ id: 1 }),
    bot({ id: 2, state: 'paused_error', pause_reason: 'KeyError' }),
    bot({ id: 3, state: 'suspended', is_active: false }),
    bot({ id: 4, state: 'ended' }),
  )
  expect(read('Bots actifs')).toEqual(['3 dont 1 en erreur', '5 sur 20 places prises, tous comptes'])
  expect(read('Bots en erreur')).toEqual(['1'])
})

it('says what of the totals comes from stopped bots', () => {
  const stopped = { state: 'stopped', is_active: false } as const
  const read = tiles(
    bot({ id: 1, realized_pnl: '10', position: position(), unrealized_pnl: '12.36' }),
    bot({ id: 2, ...stopped, realized_pnl: '-4.5', position: position({ id: 8, bot: 2 }), unrealized_pnl: '2' }),
    bot({ id: 3, ...stopped, realized_pnl: '1' }),
    bot({ id: 4, ...stopped, realized_pnl: '0' }),
  )
  expect(read('P&L réalisé')).toEqual(['+6,50 USDT', 'dont −3,50 de 2\u00A0bots arrêtés'])
  expect(read('P&L latent')).toEqual(['+14,36 USDT', 'dont +2,00 d’un bot arrêté'])
  expect(read('Positions ouvertes')).toEqual(['2', 'dont 1 d’un bot arrêté'])
})

it('says nothing of stopped bots that weigh nothing', () => {
  const read = tiles(bot({ id: 1, realized_pnl: '10' }), bot({ id: 2, state: 'stopped', is_active: false, realized_pnl: '0' }))
  expect(read('P&L réalisé')).toEqual(['+10,00 USDT'])
  expect(read('Positions ouvertes')).toEqual(['0'])
})
