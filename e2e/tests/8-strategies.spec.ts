/** From a strategy with an error to one that is saved and tried on the last candles. */
import { expect, expectAlive, type Page, test } from '../support/test.ts'

const RUN_TIMEOUT = 60_000

async function type(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Code Python de la stratégie' }).click()
  await page.keyboard.press('Control+a')
  await page.keyboard.insertText(text)
}

test('a strategy is written, mended where the error is, tried, saved and compared with its first version', async ({ api, page }) => {
  await api.login('dac')
  await page.goto('/strategies')
  await expectAlive(page)
  const rsi = page.getByRole('article').filter({ hasText: 'RSI, retour de survente' })
  await rsi.getByRole('button', { name: 'Partir de là' }).click()
  const name = `RSI ${Date.now()}`
  await page.getByLabel('Nom de la stratégie').fill(name)
  const code = await page.evaluate(async () => ((await (await fetch('/api/strategies/examples/')).json()) as { code: string }[])[1]?.code ?? '')

  await type(page, code.replace('< self.params["survente"]', '< seuil'))
  await page.getByRole('button', { name: 'Tester la syntaxe' }).click()
  const errors = page.getByRole('list', { name: 'Erreurs' })
  await expect(errors, 'the unknown name is said').toContainText('seuil', { timeout: RUN_TIMEOUT })
  const line = String(code.split('\n').findIndex((each) => each.includes('< self.params["survente"]')) + 1)
  await expect(errors.getByRole('button', { name: `ligne ${line}` })).toBeVisible()

  await type(page, code)
  await page.getByRole('button', { name: 'Tester la syntaxe' }).click()
  await expect(page.getByText('Valide : classe RetourDeSurvente')).toBeVisible({ timeout: RUN_TIMEOUT })

  await page.getByRole('button', { name: 'Enregistrer', exact: true }).click()
  await expect(page.getByText('Stratégie enregistrée').first()).toBeVisible()
  await page.getByRole('tab', { name: /Réglages/ }).click()
  await expect(page.getByText('Seuil de survente', { exact: true })).toBeVisible()

  const quick = page.getByRole('region', { name: 'Test rapide' })
  await quick.getByRole('combobox', { name: 'Unité de temps' }).click()
  await page.getByRole('option', { name: '1m', exact: true }).click()
  await quick.getByRole('button', { name: 'Lancer' }).click()
  await expect(quick.getByText('Gain net')).toBeVisible({ timeout: RUN_TIMEOUT })
  await expect(quick.getByRole('img', { name: /transactions de la stratégie sur 500 bougies/ })).toBeVisible()

  await type(page, `${code}\n# encore\n`)
  await expect(quick.getByText('Le code a changé'), 'a result is about the text that was tried').toBeVisible()
  await page.keyboard.press('Control+s')
  await page.getByRole('tab', { name: /Versions/ }).click()
  await expect(page.getByRole('option', { name: /^v2/ })).toBeVisible()
  await page.getByRole('option', { name: /^v1/ }).click()
  await expect(page.getByText('De v1 au texte affiché')).toBeVisible()
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
