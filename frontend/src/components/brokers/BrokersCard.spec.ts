import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/vue'
import { createPinia, setActivePinia, type Pinia } from 'pinia'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Broker } from '@/api/brokers'
import { useStatus } from '@/stores/status'
import { broker, exchange, session } from '@/testing/samples'
import { fakeServer, type Answer } from '@/testing/server'
import BrokersCard from './BrokersCard.vue'

const BALANCE = { currencies: [{ currency: 'BTC', free: '0.041', locked: '0', total: '0.041' }, { currency: 'USDT', free: '3420.18', locked: '0', total: '3420.18' }] }
const REFUSED = 'Lecture du solde impossible chez OKX : clés refusées (Invalid API-key, code 50111)'
let pinia: Pinia

beforeEach(() => {
  pinia = createPinia()
  setActivePinia(pinia)
})
afterEach(cleanup)

function show(list: Broker[] = [broker()], answers: Record<string, Answer> = {}) {
  const server = fakeServer({
    'GET /api/brokers/': { body: { results: list, next: null } },
    'GET /api/brokers/1/balance/': { body: BALANCE },
    'GET /api/brokers/1/capabilities/': {
      body: {
        exchange: 'simex', exchange_name: 'Simulateur', timeframes: ['1m', '5m'],
        capabilities: [
          { code: 'market', label: 'Ordre au marché', supported: true, note: '' },
          { code: 'edit', label: 'Modification d’ordre', supported: false, note: 'Annulation puis nouvel ordre.' },
        ],
      },
    },
    'GET /api/exchanges/': { body: { results: [exchange(), exchange({ id: 'kraken', name: 'Kraken', required_credentials: ['apiKey', 'secret'], sandbox: false })], next: null } },
    'GET /api/session/': { body: session() },
    ...answers,
  })
  render(BrokersCard, { global: { plugins: [pinia] } })
  return server
}

async function openNew() {
  await fireEvent.click((await screen.findAllByRole('button', { name: 'Ajouter un broker' }))[0])
  const dialog = await screen.findByRole('dialog')
  await within(dialog).findByLabelText('Exchange')
  return dialog
}

async function choose(dialog: HTMLElement, name: string) {
  const field = within(dialog).getByLabelText<HTMLInputElement>('Exchange')
  await fireEvent.focus(field)
  await fireEvent.update(field, name)
  const option = await screen.findByRole('option', { name })
  await fireEvent.pointerUp(option)
  await fireEvent.click(option)
  await within(dialog).findByLabelText('Clé API')
}

it('shows what each broker is and holds', async () => {
  show()
  const row = (await screen.findByText('Par défaut')).closest('tr') as HTMLElement
  expect(within(row).getByText('Simulation')).toBeDefined()
  expect(row.textContent).toContain('••••J7xQ')
  await waitFor(() => expect(row.textContent).toContain('3 420,18'.replace(' ', '\u202f')))
  expect(row.textContent).toContain('24')
})

it('says what the exchange cannot do, and why', async () => {
  show()
  const missing = (await screen.findByText('Modification d’ordre')).closest('li') as HTMLElement
  expect(missing.textContent).toContain('Non : ')
  expect(missing.textContent).toContain('Annulation puis nouvel ordre.')
})

it('offers a first broker when there is none', async () => {
  show([])
  expect(await screen.findByText('Aucun broker sur ce compte.')).toBeDefined()
})

it('says why the list cannot be read, and tries again', async () => {
  const server = show([], { 'GET /api/brokers/': { status: 503, body: { code: 'x', message: 'PostgreSQL ne répond pas.', details: {} } } })
  expect((await screen.findByRole('alert')).textContent).toContain('PostgreSQL ne répond pas.')
  server.set('GET /api/brokers/', { body: { results: [broker()], next: null } })
  await fireEvent.click(screen.getByRole('button', { name: 'Réessayer' }))
  expect(await screen.findByText('Par défaut')).toBeDefined()
})

it('follows the loading of the markets', async () => {
  show()
  await screen.findByText('Par défaut')
  useStatus().setMarkets({ exchange: 'simex', state: 'loading', progress: 42, count: null })
  const bar = await screen.findByRole('progressbar', { name: 'Chargement des marchés' })
  expect(bar.getAttribute('aria-valuenow')).toBe('42')
})

it('asks exactly the credentials of the chosen exchange, tries them and saves them', async () => {
  const server = show([broker()], {
    'POST /api/brokers/test/': { status: 400, body: { code: 'exchange_authentication', message: REFUSED, details: {} } },
    'POST /api/brokers/': { status: 201, body: broker({ id: 2, name: 'OKX — long terme', exchange: 'okx', exchange_name: 'OKX', mode: 'real' }) },
    'POST /api/brokers/2/load-markets/': { body: broker({ id: 2 }) },
  })
  const dialog = await openNew()
  await choose(dialog, 'OKX')
  const inside = within(dialog)
  expect(inside.getByRole<HTMLButtonElement>('button', { name: 'Tester' }).disabled).toBe(true)
  await fireEvent.update(inside.getByLabelText('Nom'), 'OKX — long terme')
  await fireEvent.update(inside.getByLabelText('Clé API'), 'la-cle')
  await fireEvent.update(inside.getByLabelText('Secret'), 'le-secret')
  const save = inside.getByRole<HTMLButtonElement>('button', { name: 'Enregistrer et charger les marchés' })
  expect(save.disabled).toBe(true)
  await fireEvent.update(inside.getByLabelText('Phrase secrète'), 'la-phrase')
  const keys = { apiKey: 'la-cle', secret: 'le-secret', password: 'la-phrase' }

  await fireEvent.click(inside.getByRole('button', { name: 'Tester' }))
  expect((await inside.findByRole('alert')).textContent).toBe(REFUSED)
  server.set('POST /api/brokers/test/', { body: { ...BALANCE, elapsed_ms: 1234 } })
  await fireEvent.click(inside.getByRole('button', { name: 'Tester de nouveau' }))
  expect(await inside.findByText('Connexion réussie en 1,2 s')).toBeDefined()
  expect(server.calls.filter((call) => call.path === '/api/brokers/test/')[1].body).toEqual({ exchange: 'okx', credentials: keys, is_testnet: false })

  await fireEvent.click(save)
  await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull())
  const made = server.calls.find((call) => call.method === 'POST' && call.path === '/api/brokers/')
  expect(made?.body).toEqual({ name: 'OKX — long terme', exchange: 'okx', credentials: keys, is_testnet: false, is_default: false })
  await waitFor(() => expect(server.calls.some((call) => call.path === '/api/brokers/2/load-markets/')).toBe(true))
})

it('forgets what a test said as soon as a key changes', async () => {
  show([broker()], { 'POST /api/brokers/test/': { body: { ...BALANCE, elapsed_ms: 900 } } })
  const dialog = await openNew()
  await choose(dialog, 'Kraken')
  await fireEvent.update(within(dialog).getByLabelText('Clé API'), 'a')
  await fireEvent.update(within(dialog).getByLabelText('Secret'), 'b')
  await fireEvent.click(within(dialog).getByRole('button', { name: 'Tester' }))
  await within(dialog).findByText(/Connexion réussie/)
  await fireEvent.update(within(dialog).getByLabelText('Secret'), 'c')
  await waitFor(() => expect(within(dialog).queryByText(/Connexion réussie/)).toBeNull())
})

it('refuses the testnet where there is none, and says so', async () => {
  show()
  const dialog = await openNew()
  await choose(dialog, 'Kraken')
  const testnet = within(dialog).getByRole<HTMLButtonElement>('switch', { name: /^Testnet/ })
  expect(testnet.disabled).toBe(true)
  expect(testnet.textContent).toContain('Kraken n’offre pas de réseau de test.')
})

it('keeps the keys of a broker whose name changes', async () => {
  const server = show([broker()], {
    'PATCH /api/brokers/1/': { body: broker({ name: 'Bac à sable' }) },
    'POST /api/brokers/1/load-markets/': { body: broker() },
    'GET /api/exchanges/': { body: { results: [exchange({ id: 'simex', name: 'Simulateur', required_credentials: ['apiKey', 'secret'], sandbox: false })], next: null } },
  })
  await fireEvent.click(await screen.findByRole('button', { name: 'Modifier Simulateur' }))
  const dialog = await screen.findByRole('dialog')
  await fireEvent.update(await within(dialog).findByLabelText('Nom'), 'Bac à sable')
  await fireEvent.click(within(dialog).getByRole('button', { name: 'Enregistrer' }))
  await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull())
  expect(server.calls.find((call) => call.method === 'PATCH')?.body).toEqual({ name: 'Bac à sable', is_testnet: false, is_active: true })
})

it('tells why a broker in use cannot be removed', async () => {
  const message = 'Suppression du broker « Simulateur » impossible : 1 bot(s) actif(s)'
  const server = show([broker()], { 'DELETE /api/brokers/1/': { status: 409, body: { code: 'broker_in_use', message, details: {} } } })
  await fireEvent.click(await screen.findByRole('button', { name: 'Supprimer Simulateur' }))
  const dialog = await screen.findByRole('dialog')
  expect(server.calls.some((call) => call.method === 'DELETE')).toBe(false)
  await fireEvent.click(within(dialog).getByRole('button', { name: 'Supprimer' }))
  expect((await within(dialog).findByRole('alert')).textContent).toBe(message)
})
