import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/vue'
import { createPinia } from 'pinia'
import { afterEach, expect, it } from 'vitest'
import type { Alert, AlertAddress } from '@/api/alerts'
import { fakeServer, type Answer } from '@/testing/server'
import AlertsCard from './AlertsCard.vue'

const address = (over: Partial<AlertAddress> = {}): AlertAddress => ({
  id: 1, service: 'Discord', masked: 'discord://4174••••', is_active: true, created_at: '2026-11-22T12:00:00Z',
  last_sent_at: null, last_error: '', last_error_at: null,
  ...over,
})
const alert = (over: Partial<Alert> = {}): Alert => ({
  id: 1, kind: 'order', code: 'order_unknown', subject: 'trade:1', message: 'Ordre achat 1 BTC/USDT : issue inconnue.',
  created_at: '2026-11-22T12:00:00Z', state: 'failed', error: 'Envoi refusé par Discord : error=404.',
  ...over,
})
afterEach(cleanup)

function show(addresses: AlertAddress[], answers: Record<string, Answer> = {}) {
  const server = fakeServer({
    'GET /api/alerts/addresses/': { body: addresses },
    'GET /api/alerts/preferences/': { body: { kinds: ['order', 'service'] } },
    'GET /api/alerts/': { body: { results: [], next: null } },
    'GET /api/alerts/summary/': { body: { hour: null, timezone: 'UTC' } },
    ...answers,
  })
  render(AlertsCard, { global: { plugins: [createPinia()] } })
  return server
}

it('says that alerts stay on the screen while there is no address', async () => {
  show([])
  expect(await screen.findByText('Écran seulement')).toBeDefined()
  expect(screen.getByText('Aucune alerte en 90 jours')).toBeDefined()
})

it('adds an address and tests it at once', async () => {
  const server = show([], {
    'POST /api/alerts/addresses/': { status: 201, body: address() },
    'POST /api/alerts/addresses/1/test/': { body: { elapsed_ms: 640 } },
  })
  const field = await screen.findByLabelText('Adresse où envoyer les alertes')
  await fireEvent.update(field, 'discord://41742163/a-garder-secret')
  server.set('GET /api/alerts/addresses/', { body: [address({ last_sent_at: '2026-11-22T12:01:00Z' })] })
  await fireEvent.click(screen.getByRole('button', { name: 'Ajouter' }))
  expect(await screen.findByText('Dernier message parti le 26.11.22_12:01')).toBeDefined()
  expect(screen.getByText('1 destination')).toBeDefined()
  expect(server.calls.find((call) => call.method === 'POST')?.body).toEqual({ address: 'discord://41742163/a-garder-secret' })
  expect(document.body.innerHTML).not.toContain('a-garder-secret')
})

it('says under the field why an address is refused', async () => {
  show([], { 'POST /api/alerts/addresses/': { status: 400, body: { code: 'alert_address_malformed', message: 'Adresse d’alerte refusée', details: {} } } })
  await fireEvent.update(await screen.findByLabelText('Adresse où envoyer les alertes'), 'discord')
  await fireEvent.click(screen.getByRole('button', { name: 'Ajouter' }))
  expect((await screen.findByRole('alert')).textContent).toBe('Adresse d’alerte refusée')
})

it('shows the last failure of an address, and the answer of its test', async () => {
  show([address({ last_error: 'Envoi refusé par Discord : error=404.', last_error_at: '2026-11-22T12:00:00Z' })], {
    'POST /api/alerts/addresses/1/test/': { status: 502, body: { code: 'alert_not_sent', message: 'Envoi refusé par Discord : error=401.', details: {} } },
  })
  expect((await screen.findByRole('alert')).textContent).toContain('26.11.22_12:00')
  await fireEvent.click(screen.getByRole('button', { name: /^Tester Discord/ }))
  await waitFor(() => expect(screen.getByRole('alert').textContent).toContain('error=401'))
})

it('chooses what is sent', async () => {
  const server = show([address()], { 'PUT /api/alerts/preferences/': { body: { kinds: ['order', 'service', 'bot_paused'] } } })
  const chip = await screen.findByRole('button', { name: 'Bot en erreur' })
  expect(chip.getAttribute('aria-pressed')).toBe('false')
  await fireEvent.click(chip)
  await waitFor(() => expect(chip.getAttribute('aria-pressed')).toBe('true'))
  expect(server.calls.find((call) => call.method === 'PUT')?.body).toEqual({ kinds: ['order', 'service', 'bot_paused'] })
})

it('switches an address off', async () => {
  show([address()], { 'PATCH /api/alerts/addresses/1/': { body: address({ is_active: false }) } })
  const row = within((await screen.findByText('discord://4174••••')).closest('li') as HTMLElement)
  await fireEvent.click(row.getByRole('switch'))
  await waitFor(() => expect(row.getByRole('switch').getAttribute('aria-checked')).toBe('false'))
  expect(row.getByRole<HTMLButtonElement>('button', { name: /^Tester/ }).disabled).toBe(true)
})

it('lists the last alerts with what became of them', async () => {
  show([address()], { 'GET /api/alerts/': { body: { results: [alert(), alert({ id: 2, state: 'kept', error: '' })], next: null } } })
  await fireEvent.click(await screen.findByRole('button', { name: /^Voir 2.dernières alertes$/ }))
  const list = screen.getByRole('list', { name: 'Dernières alertes' })
  expect(list.textContent).toContain('Non envoyée')
  expect(list.textContent).toContain('error=404')
  expect(list.textContent).toContain('Ici seulement')
})
