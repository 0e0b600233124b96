/** From an idea to a bot that trades it: written, mended, changed by the assistant, tried, put to work, stopped. */
import { BUY_AND_HOLD, stopBots } from '../support/api.ts'
import { activate } from '../support/bots.ts'
import { type Outside, startOutside } from '../support/outside.ts'
import { expect, expectAlive, type Page, test } from '../support/test.ts'

const RUN_TIMEOUT = 60_000

let outside: Outside
test.beforeAll(async () => {
  outside = await startOutside()
})
test.afterAll(() => outside.close())

async function type(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Code Python de la stratégie' }).click()
  await page.keyboard.press('Control+a')
  await page.keyboard.insertText(text)
}

/** Writes a strategy whose first try names something unknown; mends it where the error is; saves it. */
async function write(page: Page, name: string): Promise<void> {
  const code = BUY_AND_HOLD.code
  const wrong = code.replace('return True', 'return seuil')
  const line = wrong.split('\n').findIndex((each) => each.includes('seuil')) + 1
  await page.getByRole('button', { name: 'Nouvelle' }).click()
  await page.getByLabel('Nom de la stratégie').fill(name)
  await type(page, wrong)
  await page.keyboard.press('Control+Enter')
  const errors = page.getByRole('list', { name: 'Erreurs' })
  await expect(errors, 'the unknown name is said').toContainText('seuil', { timeout: RUN_TIMEOUT })
  await expect(errors.getByRole('button', { name: `ligne ${line}` })).toBeVisible()
  await expect(page.locator('.cm-lintRange-error'), 'and underlined where it is').toContainText('return seuil')
  await type(page, code)
  await page.keyboard.press('Control+Enter')
  await expect(page.getByText('Valide : classe AcheterEtGarder')).toBeVisible({ timeout: RUN_TIMEOUT })
  await page.keyboard.press('Control+s')
  await expect(page.getByText('Stratégie enregistrée').first()).toBeVisible()
}

/** Has the assistant halve the size: its first code is wrong and mended before it is offered. */
async function change(page: Page): Promise<void> {
  await page.getByLabel('Message à l’assistant').fill('Divise la taille par deux')
  await page.keyboard.press('Control+Enter')
  const proposal = page.getByRole('region', { name: 'Proposition AcheterEtGarder' })
  await expect(proposal, 'tried before it is offered').toContainText('Essayée', { timeout: RUN_TIMEOUT })
  const talk = page.getByRole('log', { name: 'Conversation avec l’assistant' })
  await expect(talk).toContainText('Premier jet invalide')
  await expect(talk, 'an answer is text, never markup').toContainText('<b>un quart</b>')
  await expect(proposal.locator('.cm-changedLine')).toContainText('self.balance * 0.25')
  const editor = page.getByRole('textbox', { name: 'Code Python de la stratégie' })
  await expect(editor, 'nothing changes before it is accepted').toContainText('self.balance * 0.5')
  await proposal.getByRole('button', { name: 'Accepter' }).click()
  await expect(editor).toContainText('self.balance * 0.25')
  await page.keyboard.press('Control+s')
  await page.getByRole('tab', { name: 'Versions 2' }).click()
  await page.getByRole('option', { name: /^v1/ }).click()
  await expect(page.getByText('De v1 au texte affiché')).toBeVisible()
  await page.getByRole('tab', { name: 'Code' }).click()
}

async function quickTest(page: Page): Promise<void> {
  const quick = page.getByRole('region', { name: 'Test rapide' })
  await quick.getByRole('combobox', { name: 'Unité de temps' }).click()
  await page.getByRole('option', { name: '1m', exact: true }).click()
  await quick.getByRole('button', { name: 'Lancer' }).click()
  await expect(quick.getByText('Gain net')).toBeVisible({ timeout: RUN_TIMEOUT })
  await expect(quick.getByRole('img', { name: /transactions de la stratégie sur 500 bougies/ })).toBeVisible()
}

test('a strategy is written, mended, changed by the assistant, tried, put to work and stopped with its trade open', async ({ api, page }) => {
  await api.login('dac')
  await stopBots(api)
  await api.patch('/api/assistant/settings/', { provider: 'ollama', ollama_url: outside.url, ollama_model: 'mistral:7b' })
  await page.goto('/strategies')
  await expectAlive(page)
  const name = `Parcours ${Date.now()}`
  await write(page, name)
  await change(page)
  await quickTest(page)

  await page.getByRole('link', { name: 'Trading BOT' }).click()
  const card = await activate(page, name, '500')
  await expect(card, 'it buys').toContainText(/Position\s*[\d,\s]+BTC à/, { timeout: RUN_TIMEOUT })
  await card.getByRole('button', { name: 'Stop' }).click()
  const dialog = page.getByRole('dialog', { name: `Arrêter « ${name} » sur BTC/USDT ?` })
  await expect(dialog).toContainText('Une position est ouverte')
  await dialog.getByRole('button', { name: 'Vendre au marché et arrêter' }).click()
  await page.getByRole('button', { name: /Afficher \d+ bots? arrêtés?/ }).click()
  await expect(card.getByRole('row', { name: /Vente/ }).first(), 'its trade is sold').toBeVisible({ timeout: RUN_TIMEOUT })
})

test('what is not saved is not lost without a word', async ({ api, page }) => {
  await api.login('dac')
  await page.goto('/strategies')
  await expectAlive(page)
  await type(page, 'x = 1')
  await page.getByRole('link', { name: 'Heartbeat' }).click()
  const question = page.getByRole('dialog', { name: 'Abandonner les changements ?' })
  await expect(question).toBeVisible()
  await question.getByRole('button', { name: 'Annuler' }).click()
  await expect(page.getByRole('heading', { name: 'Stratégies', level: 1 })).toBeAttached()
})
