/** The form that activates a bot, filled as a person does. */
import { expect, type Locator, type Page } from '@playwright/test'

async function choose(page: Page, label: string, option: string | RegExp): Promise<void> {
  await page.getByRole('region', { name: 'Activer une stratégie' }).getByLabel(label, { exact: true }).click()
  await page.getByRole('option', { name: option }).click()
}

async function chooseSymbol(page: Page, symbol: string): Promise<void> {
  const field = page.getByLabel('Symbole', { exact: true })
  await field.fill(symbol)
  await page.getByRole('option', { name: symbol, exact: true }).click()
  await expect(field).toHaveValue(symbol)
}

export async function fillForm(page: Page, strategy: string | RegExp, amount: string): Promise<void> {
  await choose(page, 'Stratégie', strategy)
  await choose(page, 'Broker', 'Simulateur')
  await chooseSymbol(page, 'BTC/USDT')
  await choose(page, 'Unité de temps', '1m')
  await page.getByLabel('Montant maximal').fill(amount)
}

/** Activates a strategy on the Simulateur and returns its card. */
export async function activate(page: Page, strategy: string | RegExp, amount: string): Promise<Locator> {
  await fillForm(page, strategy, amount)
  await page.getByRole('button', { name: 'Activer en simulation' }).click()
  await expect(page.getByText('Stratégie activée').first()).toBeVisible()
  const card = page.getByRole('article', { name: new RegExp(`${typeof strategy === 'string' ? strategy : strategy.source}.*, BTC/USDT$`) })
  await expect(card).toBeVisible()
  return card
}
