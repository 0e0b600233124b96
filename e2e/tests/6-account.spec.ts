/** « Mon Compte » beyond the brokers: the assistant's provider, alerts sent outside, open sessions. */
import { type Outside, startOutside } from '../support/outside.ts'
import { PASSWORD } from '../support/instance.ts'
import { expect, test } from '../support/test.ts'

let outside: Outside
test.beforeAll(async () => {
  outside = await startOutside()
})
test.afterAll(() => outside.close())
test.beforeEach(async ({ api, page }) => {
  await api.login('dac')
  await page.goto('/account')
})

test('a provider is switched on, its model chosen and tested; the other goes off', async ({ page, api }) => {
  const ollama = page.getByRole('group', { name: 'Ollama' })
  const openrouter = page.getByRole('group', { name: 'OpenRouter' })
  await ollama.getByRole('switch').click()
  await expect(ollama.getByRole('switch')).toBeChecked()
  await ollama.getByLabel('Adresse').fill('http://169.254.169.254')
  await ollama.getByRole('button', { name: 'Enregistrer' }).click()
  await expect(ollama.getByRole('alert').first()).toContainText('ni cette machine ni le réseau local')
  await ollama.getByLabel('Adresse').fill(outside.url)
  await ollama.getByRole('button', { name: 'Enregistrer' }).click()
  await expect(ollama.getByText('2 disponibles')).toBeVisible()
  await ollama.getByLabel('Modèle de Ollama').fill('llama')
  await page.getByRole('option', { name: 'llama3:8b' }).click()
  await ollama.getByRole('button', { name: 'Tester' }).click()
  await expect(ollama.getByText(/^Réponse en /)).toBeVisible()
  expect((await api.get<{ assistant: object }>('/api/session/')).assistant).toEqual({ is_on: true, provider: 'ollama', model: 'llama3:8b' })

  await openrouter.getByRole('switch').click()
  await expect(ollama.getByRole('switch')).not.toBeChecked()
  await openrouter.getByRole('switch').click()
  await expect(page.getByRole('region', { name: 'Assistant IA' }).getByText('Désactivé', { exact: true })).toBeVisible()
})

test('an address is added, tested for real, and a refusal is told', async ({ page }) => {
  const card = page.getByRole('region', { name: 'Alertes' })
  const add = async (path: string): Promise<void> => {
    await card.getByLabel('Adresse où envoyer les alertes').fill(`${outside.url.replace('http', 'json')}/${path}`)
    await card.getByRole('button', { name: 'Ajouter' }).click()
  }
  await add('alerte')
  await expect(card.getByText(/^Dernier message parti le /)).toBeVisible()
  expect(outside.alerts).toEqual([expect.stringContaining('Message de test')])
  await add('nulle-part')
  await expect(card.getByRole('alert')).toContainText('Envoi refusé par Webhook JSON')
  for (let left = 2; left > 0; left -= 1) {
    await card.getByRole('button', { name: /^Retirer/ }).first().click()
    await expect(card.getByRole('button', { name: /^Retirer/ })).toHaveCount(left - 1)
  }
  await expect(card.getByText('Écran seulement')).toBeVisible()
})

test('another session is closed from here, and its page goes back to the login', async ({ page, browser, baseURL }) => {
  const context = await browser.newContext({ baseURL })
  const other = await context.newPage()
  await other.goto('/login')
  await other.getByLabel('Utilisateur').fill('dac')
  await other.getByLabel('Mot de passe', { exact: true }).fill(PASSWORD)
  await other.getByRole('button', { name: 'Se connecter' }).click()
  await expect(other).toHaveURL(/\/heartbeat$/)
  await page.reload()
  const card = page.getByRole('region', { name: 'Sessions ouvertes' })
  await card.getByRole('button', { name: 'Fermer les autres' }).click()
  await expect(card.getByRole('row')).toHaveCount(2) // its head and this session
  await expect(other).toHaveURL(/\/login/, { timeout: 30_000 })
  await context.close()
})
