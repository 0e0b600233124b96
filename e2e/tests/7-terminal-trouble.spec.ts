/** Trouble between the terminal and the exchange: never two orders, never a button that waits for ever, always a French word. */
import { clearFaults, plan } from '../support/exchange.ts'
import { killGateway, killWebServer } from '../support/instance.ts'
import { Terminal } from '../support/terminal.ts'
import { expect, expectAlive, type Page, test } from '../support/test.ts'

const OUTCOME_TIMEOUT = 90_000
const ORDER = { method: 'POST', path: '/api/v3/order' }

let terminal: Terminal

test.beforeEach(async ({ api, page }) => {
  await api.login('dev')
  await page.goto('/heartbeat')
  await expectAlive(page)
  terminal = new Terminal(page, api)
  await terminal.open()
})
test.afterEach(() => clearFaults())

async function buy(): Promise<number> {
  await terminal.write('Marché', 'Achat', { Valeur: '20' })
  await terminal.validate()
  return (await terminal.execute())[0]
}

/** The order has come to an end that the page tells and the exchange confirms, and another one can be written. */
async function expectOutcome(id: number, told: RegExp): Promise<void> {
  await terminal.tab(/Historique/)
  await expect(terminal.row(id)).toContainText(told, { timeout: OUTCOME_TIMEOUT })
  const executed = (await terminal.row(id).innerText()).includes('Exécuté')
  expect(await terminal.atExchange(id), 'never a double order, none behind the page’s back').toHaveLength(executed ? 1 : 0)
  await expect(terminal.ticket.locator('[aria-busy="true"]')).toHaveCount(0)
  await terminal.write('Marché', 'Achat', { Valeur: '20' })
  await expect(terminal.ticket.getByRole('button', { name: 'Valider' })).toBeEnabled()
}

test('the exchange is slow, loses its response, or fails without a meaning: one order or none, and the page says which', async ({ page }) => {
  test.setTimeout(240_000)
  await plan({ ...ORDER, kind: 'delay_after', params: { ms: 3000 } })
  await expectOutcome(await buy(), /Exécuté/)

  await plan({ ...ORDER, kind: 'drop_after' })
  await expectOutcome(await buy(), /Exécuté/)

  await plan({ ...ORDER, kind: 'http_error', params: { status: 503, executed: false } })
  const id = await buy()
  await terminal.tab(/Historique/)
  await expect(terminal.row(id)).toContainText(/Inconnu|Expiré|Refusé/, { timeout: OUTCOME_TIMEOUT })
  await expect(page.locator(`tr[data-order="${id}"] + tr.sub`), 'the reason is there in full').toContainText(/\p{L}{4}/u)
  await expectOutcome(id, /Expiré|Refusé/)
})

async function expectReconnected(page: Page): Promise<void> {
  await expect(page.getByText(/Terminal déconnecté/)).toBeVisible()
  await expect(page.getByText(/Terminal déconnecté/)).toBeHidden({ timeout: OUTCOME_TIMEOUT })
}

test('the web server dies while the order leaves: the same request is asked again', async ({ page }) => {
  test.setTimeout(240_000)
  await terminal.write('Marché', 'Achat', { Valeur: '20' })
  await terminal.validate()
  killWebServer()
  const sending = terminal.execute()
  await expectReconnected(page)
  const again = terminal.ticket.getByRole('button', { name: 'Redemander' })
  const sent = terminal.status.filter({ hasText: /Ordre n° \d/ })
  await expect(again.or(sent).or(terminal.status.filter({ hasText: /périmée/ })).first()).toBeVisible({ timeout: OUTCOME_TIMEOUT })
  if (await again.isVisible()) await again.click()
  const [id] = await sending
  await expectOutcome(id, /Exécuté|Expiré|Refusé/)
})

test('terminal 5 dies: the order waits or expires in sight, and the terminal works again when it is back', async ({ page }) => {
  test.setTimeout(240_000)
  await terminal.write('Marché', 'Achat', { Valeur: '20' })
  await terminal.validate()
  killGateway()
  const [id] = await terminal.execute()
  await expectOutcome(id, /Exécuté|Expiré/)
  await expect(page.getByText('En direct'), 'the book is back').toBeVisible({ timeout: OUTCOME_TIMEOUT })
})
