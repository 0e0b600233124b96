import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/vue'
import { createPinia } from 'pinia'
import { afterEach, expect, it, vi } from 'vitest'
import { createMemoryHistory, createRouter } from 'vue-router'
import type { LogLine, Trace } from '@/api/logs'
import TraceDialog from '@/components/logs/TraceDialog.vue'
import { fakeServer, type Answer } from '@/testing/server'
import LogsView from './LogsView.vue'

type Handler = (data: { lines: LogLine[]; dropped: number }) => void
const socket = vi.hoisted(() => ({ push: undefined as Handler | undefined }))
vi.mock('@/websocket/live', () => ({
  live: { on: (name: string, handler: Handler) => (name === 'logs/lines' && (socket.push = handler), () => undefined), onReconnect: () => () => undefined },
}))
afterEach(cleanup)

const line = (id: string, over: Partial<LogLine> = {}): LogLine => ({
  id, time: '2026-11-26T10:00:00Z', level: 'info', terminal: 'ccxt_service', event: 'orders.state', message: `Ordre ${id}`, trace_id: '', matters: true, facts: {}, ...over,
})

async function open(answers: Record<string, Answer>, address = '/journaux') {
  const server = fakeServer(answers)
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/journaux', name: 'logs', component: LogsView }] })
  await router.push(address)
  render({ components: { LogsView, TraceDialog }, template: '<LogsView /><TraceDialog />' }, { global: { plugins: [createPinia(), router] } })
  return server
}
const page = (lines: LogLine[], next: string | null = null): Answer => ({ body: { results: lines, next } })
const rows = (): string[] => screen.getAllByRole('button', { name: /^Ordre/ }).map((one) => one.textContent?.trim() ?? '')

it('shows what is written already, and each line as it comes', async () => {
  await open({ 'GET /api/logs/': page([line('2'), line('1')]) })
  await screen.findByText('Ordre 2')
  socket.push?.({ lines: [line('2'), line('3')], dropped: 0 })
  await waitFor(() => expect(rows()).toEqual(['Ordre 3', 'Ordre 2', 'Ordre 1']))
})

it('holds new lines back while it is paused, and says how many', async () => {
  await open({ 'GET /api/logs/': page([line('1')]) })
  await screen.findByText('Ordre 1')
  await fireEvent.click(screen.getByRole('button', { name: 'Pause' }))
  socket.push?.({ lines: [line('2'), line('3')], dropped: 0 })
  await fireEvent.click(await screen.findByRole('button', { name: /Reprendre \(2\snouvelles lignes\)/ }))
  await waitFor(() => expect(rows()).toEqual(['Ordre 3', 'Ordre 2', 'Ordre 1']))
})

it('asks the server for what the filter wants, and says when that is nothing', async () => {
  const server = await open({ 'GET /api/logs/': (call) => (page(call.search.includes('level=error') ? [] : [line('1')]) as { body: unknown }) })
  await screen.findByText('Ordre 1')
  await fireEvent.click(screen.getByRole('button', { name: 'Erreurs' }))
  await screen.findByText('Aucune ligne ne répond à ces filtres.')
  expect(server.calls.at(-1)?.search).toContain('level=error')
  await fireEvent.click(screen.getByRole('button', { name: 'Effacer les filtres' }))
  await screen.findByText('Ordre 1')
})

it('begins with what matters to who trades, and shows every line at one click', async () => {
  const server = await open({ 'GET /api/logs/': (call) => (page(call.search.includes('matters=true') ? [] : [line('signal', { matters: false })]) as { body: unknown }) })
  await screen.findByText(/Rien d’essentiel/)
  expect(screen.getByRole('button', { name: 'L’essentiel' }).getAttribute('aria-pressed')).toBe('true')
  socket.push?.({ lines: [line('3', { matters: false }), line('4')], dropped: 0 })
  await waitFor(() => expect(rows()).toEqual(['Ordre 4']))
  await fireEvent.click(screen.getByRole('button', { name: 'Tout' }))
  await screen.findByText('Ordre signal')
  expect(server.calls.at(-1)?.search).not.toContain('matters')
})

it('explains a failure and tries again', async () => {
  const server = await open({ 'GET /api/logs/': { status: 500, body: { code: 'x', message: 'Journaux illisibles', details: {} } } })
  await screen.findByText('Journaux illisibles')
  server.set('GET /api/logs/', page([line('1')]))
  await fireEvent.click(screen.getByRole('button', { name: 'Réessayer' }))
  await screen.findByText('Ordre 1')
})

it('opens the whole way of a line, with the longest wait marked', async () => {
  const step = { detail: '', tone: '' as const, trade: null }
  const trace: Trace = {
    trace_id: 'order.1', duration_ms: 95, lines: [line('1', { trace_id: 'order.1' })],
    steps: [
      { ...step, at: '2026-11-26T10:00:00.000Z', kind: 'order', title: 'Achat : enregistré', delay_ms: 0 },
      { ...step, at: '2026-11-26T10:00:00.010Z', kind: 'sent', title: 'Achat : envoyé', delay_ms: 10 },
      { ...step, at: '2026-11-26T10:00:00.095Z', kind: 'fill', title: 'Achat : exécution', delay_ms: 85, tone: 'good' },
    ],
  }
  await open({ 'GET /api/logs/': page([line('1', { trace_id: 'order.1' })]), 'GET /api/logs/traces/order.1/': { body: trace } })
  await fireEvent.click(await screen.findByRole('button', { name: 'order.1' }))
  const dialog = await screen.findByRole('dialog')
  await within(dialog).findByText('Achat : exécution')
  expect(within(dialog).getByTitle('La plus longue attente').textContent).toBe('+85 ms')
  expect(within(dialog).getByText('95 ms')).toBeDefined()
})
