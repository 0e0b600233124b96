/** Trouble between the terminal and the exchange: never two orders, never a button that waits for ever, always a French word. */
import { clearFaults, plan } from '../support/exchange.ts'
import { killGateway } from '../support/instance.ts'
import { Terminal } from '../support/terminal.ts'
import { expect, type Page, test } from '../support/test.ts'

const OUTCOME_TIMEOUT = 90_000
const ORDER = { method: 'POST', path: '/api/v3/order' }

let terminal: Terminal

test.beforeEach(async ({ api, page }) => {
  await api.login('dev')
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

interface Cut {
  submissions: string[]
}

/** Loses the answer to the first submission and cuts the socket there; the server has done its work. */
async function cutAtSubmission(page: Page): Promise<Cut> {
  const cut: Cut = { submissions: [] }
  await page.routeWebSocket(/\/ws\/trading\/$/, (browser) => {
    const server = browser.connectToServer()
    browser.onMessage((text) => {
      const asked = JSON.parse(String(text)) as { type: string; request_id: string }
      if (asked.type === 'submit') cut.submissions.push(asked.request_id)
      server.send(text)
    })
    server.onMessage((text) => {
      const [first] = cut.submissions
      const isAnswer = first !== undefined && (JSON.parse(String(text)) as { request_id?: string }).request_id === first
      if (!isAnswer || cut.submissions.length > 1) return browser.send(text)
      void server.close()
      void browser.close({ code: 3001 })
    })
  })
  return cut
}

test('the socket is cut before the answer comes: the same request is asked again, and gets the same order', async ({ page }) => {
  const cut = await cutAtSubmission(page)
  await terminal.open()
  const id = await buy()
  expect(cut.submissions, 'asked twice, under one name').toHaveLength(2)
  expect(new Set(cut.submissions).size).toBe(1)
  await expectOutcome(id, /Exécuté/)
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
