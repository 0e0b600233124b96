import { cleanup, render, screen } from '@testing-library/vue'
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { useStatus } from '@/stores/status'
import ServicesTable from './ServicesTable.vue'

const up = { state: 'up' as const, since: '2026-11-22T12:00:00Z', last_seen: '2026-11-22T12:00:00Z', lag_ms: 1 }

describe('ServicesTable', () => {
  beforeEach(() => setActivePinia(createPinia()))
  afterEach(cleanup)

  it('says how the accounts’ orders are learned', () => {
    const streams = { binance: { up: 2, down: 1 }, kraken: { polling: 1 } }
    useStatus().setHealth({ status: 'ok', services: { ccxt_service: { ...up, details: { streams } } } })
    render(ServicesTable, { props: { detailed: true } })
    expect(screen.getByText(/^Binance : 2\scomptes suivis en direct, 1\scompte au flux coupé, relu par questions · Kraken : 1\scompte relu par questions$/)).toBeTruthy()
  })

  it('says nothing of accounts where there are none', () => {
    useStatus().setHealth({ status: 'ok', services: { ccxt_service: { ...up, details: {} } } })
    render(ServicesTable, { props: { detailed: true } })
    expect(screen.queryByText(/compte/)).toBeNull()
  })

  it('says which walls of the sandbox hold, everywhere when one is missing', () => {
    const walls = { network: 'ok', limits: 'ok', landlock: 'ok', seccomp: 'ok' }
    const status = useStatus()
    status.setHealth({ status: 'ok', services: { trading_engine: { ...up, details: { sandbox: walls } } } })
    const { rerender } = render(ServicesTable, { props: { detailed: true } })
    expect(screen.getByText(/^Bac à sable des stratégies : complet \(réseau coupé, .*fichiers fermés/)).toBeTruthy()
    status.setHealth({
      status: 'ok',
      services: { trading_engine: { ...up, details: { sandbox: { ...walls, landlock: 'absent de ce noyau' } } } },
    })
    void rerender({ detailed: false })
    return expect(screen.findByText(/3 murs sur 4 : « fichiers fermés » manque \(absent de ce noyau\)/)).resolves.toBeTruthy()
  })
})
