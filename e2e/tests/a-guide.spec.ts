/** The user guide, played from the first login to the statistics; see `support/guide.ts`. */
import { type Api, EVERY_CLOSE, stopBots, strategyId } from '../support/api.ts'
import { activate } from '../support/bots.ts'
import { Album } from '../support/guide.ts'
import { PASSWORD } from '../support/instance.ts'
import { Terminal } from '../support/terminal.ts'
import { expect, expectAlive, type Page, test } from '../support/test.ts'

const SCREEN = { width: 1600, height: 900 }
const WAIT = 60_000

const goTo = (page: Page, label: string): Promise<void> =>
  page.getByRole('navigation', { name: 'Menu principal' }).getByRole('link', { name: label }).click()

/** What a picture must show has come, nothing is still loading, and no toast hides a corner of the page. */
async function settled(page: Page, ...awaited: string[]): Promise<void> {
  for (const text of awaited) await expect(page.getByRole('main').getByText(text).first()).toBeVisible({ timeout: WAIT })
  await expect(page.locator('main [aria-busy="true"], main .skel')).toHaveCount(0)
  const toasts = page.getByRole('button', { name: 'Fermer la notification' })
  while ((await toasts.count()) > 0) await toasts.first().click({ timeout: 1000 }).catch(() => undefined) // it may close by itself
  await page.mouse.move(SCREEN.width / 2, SCREEN.height - 2)
}

async function enter(page: Page, album: Album): Promise<void> {
  await page.goto('/login')
  await page.getByLabel('Utilisateur').fill('dev')
  await page.getByLabel('Mot de passe', { exact: true }).fill(PASSWORD)
  await album.take('connexion')
  await page.getByRole('button', { name: 'Se connecter' }).click()
  await expectAlive(page)
  await page.setViewportSize({ width: 1920, height: 1080 }) // its stream and services stand beside the cards there
  await settled(page, 'PostgreSQL', 'en cours', 'BTCUSDT')
  await album.take('heartbeat')
  await page.setViewportSize(SCREEN)
}

/** A limit below the market, then a purchase with the two prices that protect it. */
async function trade(page: Page, api: Api, album: Album): Promise<void> {
  const terminal = new Terminal(page, api)
  await goTo(page, 'Trading manuel')
  await terminal.open()
  const last = Number(await terminal.last())
  await terminal.write('Limite', 'Achat', { 'Prix limite': String(Math.round(last * 0.97)), Quantité: '0,01' })
  await terminal.validate()
  await album.take('ordre-valide')
  const [limit] = await terminal.execute()
  await terminal.write('Marché', 'Achat', { Quantité: '0,02' })
  await terminal.validate()
  await terminal.execute()
  await terminal.tab(/Positions/)
  await expect(terminal.orders.getByRole('row', { name: /BTC\/USDT/ }).first()).toBeVisible({ timeout: WAIT })
  await terminal.write('SL + TP', 'Vente', { 'Stop Loss': String(Math.round(last * 0.9)), 'Take Profit': String(Math.round(last * 1.2)), Quantité: '0,01' })
  await terminal.validate()
  const pair = await terminal.execute()
  await terminal.tab(/Ordres ouverts/)
  for (const id of [limit, ...pair]) await expect(terminal.row(id)).toContainText('Ouvert', { timeout: WAIT })
  await settled(page)
  await album.take('ordres-ouverts')
}

async function write(page: Page, album: Album): Promise<void> {
  await goTo(page, 'Stratégies')
  await page.getByRole('option', { name: /Croisement EMA 10\/20/ }).or(page.getByRole('button', { name: /Croisement EMA 10\/20/ })).first().click()
  const quick = page.getByRole('region', { name: 'Test rapide' })
  await quick.getByRole('combobox', { name: 'Unité de temps' }).click()
  await page.getByRole('option', { name: '1m', exact: true }).click()
  await quick.getByRole('button', { name: 'Lancer' }).click()
  await expect(quick.getByText('Gain net')).toBeVisible({ timeout: WAIT })
  await settled(page)
  await album.take('strategies')
}

async function backtest(page: Page, album: Album): Promise<void> {
  await goTo(page, 'Backtest')
  await page.getByRole('combobox', { name: /^Stratégie/ }).click()
  await page.getByRole('option', { name: /^Croisement EMA 10\/20 · / }).click()
  await page.getByLabel('Unité de temps').click()
  await page.getByRole('option', { name: '5m', exact: true }).click()
  await page.getByRole('button', { name: 'Lancer le backtest' }).click()
  await expect(page.getByRole('region', { name: 'Backtest affiché' }).getByText('Terminé')).toBeVisible({ timeout: 2 * WAIT })
  await settled(page)
  await album.take('backtest')
}

async function run(page: Page, api: Api, album: Album): Promise<void> {
  await stopBots(api)
  await strategyId(api, EVERY_CLOSE.name, EVERY_CLOSE)
  await goTo(page, 'Trading BOT')
  const card = await activate(page, EVERY_CLOSE.name, '1000')
  await expect(card.getByRole('row', { name: /Vente/ }).first()).toBeVisible({ timeout: WAIT })
  await settled(page)
  await album.take('bots')
}

async function webhooks(page: Page, album: Album): Promise<void> {
  await goTo(page, 'Webhooks')
  await page.getByRole('button', { name: 'Nouvelle source' }).first().click()
  const dialog = page.getByRole('dialog', { name: 'Nouvelle source' })
  await dialog.getByLabel('Nom').fill(`TradingView BTC ${test.info().retry}`)
  await dialog.getByRole('button', { name: 'Créer l’adresse' }).click()
  const address = page.getByRole('dialog', { name: 'Adresse à copier maintenant' })
  const url = await address.getByRole('textbox', { name: 'Nouvelle adresse' }).inputValue()
  await address.getByRole('button', { name: 'J’ai copié l’adresse' }).click()
  for (const [action, amount] of [['buy', 150], ['close', undefined]] as const) {
    const body = JSON.stringify({ ticker: 'BTCUSDT', action, quote_amount: amount, id: `guide ${action} ${Date.now()}` })
    const answer = await fetch(url, { method: 'POST', body })
    expect(answer.status).toBe(202)
    await expect(page.getByRole('region', { name: 'Journal' }).locator('tr.call').first()).toContainText(action === 'buy' ? /Exécuté.*Achat/ : /Exécuté.*Vente/, { timeout: WAIT })
  }
  await expect(page.getByRole('article', { name: /TradingView BTC/ }).first(), 'its figures are in').toContainText('2 appels')
  await settled(page)
  await album.take('webhooks')
}

test('the guide tells what the screen shows', async ({ api, page }) => {
  test.setTimeout(360_000)
  await page.setViewportSize(SCREEN)
  const album = new Album(page)
  await enter(page, album)
  await trade(page, api, album)
  await write(page, album)
  await backtest(page, album)
  await run(page, api, album)
  await webhooks(page, album)
  await goTo(page, 'Statistiques')
  await page.getByRole('button', { name: 'Tout', exact: true }).click()
  await settled(page, 'TradingView BTC', 'À chaque clôture', 'Pire jour')
  await album.take('statistiques')
  await goTo(page, 'Mon Compte')
  await settled(page, 'Capacités de Simulateur', 'Cette session', 'Clé API', 'Double authentification', 'Adresse où envoyer')
  await album.take('mon-compte')
  await page.getByRole('main').getByRole('link', { name: 'Journaux' }).click()
  await settled(page, 'Ce que font les services', 'Événement', 'décide')
  await album.take('journaux')
  expect(album.verdict()).toEqual([])
})
