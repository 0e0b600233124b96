/** Who may enter: refusal, new account, out and in again, development mode. */
import { PASSWORD } from '../support/instance.ts'
import { expect, expectAlive, type Page, statusBar, test } from '../support/test.ts'

const NAME = 'camille'

async function fillLogin(page: Page, username: string, password: string): Promise<void> {
  await page.getByLabel('Utilisateur').fill(username)
  await page.getByLabel('Mot de passe', { exact: true }).fill(password)
  await page.getByRole('button', { name: 'Se connecter' }).click()
}

async function expectCockpit(page: Page, username: string): Promise<void> {
  await expect(page).toHaveURL(/\/heartbeat$/)
  await expect(page.getByRole('navigation', { name: 'Menu principal' })).toContainText(username)
  await expectAlive(page)
}

test('a wrong password is refused in French and nobody enters', async ({ page }) => {
  await page.goto('/')
  await expect(page).toHaveURL(/\/login/)
  await fillLogin(page, 'dac', 'pas-le-bon-mot-de-passe')
  await expect(page.getByRole('alert')).toContainText('Connexion refusée : utilisateur ou mot de passe inconnu.')
  await page.goto('/bots')
  await expect(page, 'the cockpit stays closed').toHaveURL(/\/login\?next=/)
})

test('a new account arrives in the cockpit, leaves it and comes back', async ({ page }) => {
  await page.goto('/login')
  await page.getByRole('button', { name: 'Nouveau compte' }).click()
  const dialog = page.getByRole('dialog', { name: 'Nouveau compte' })
  const create = dialog.getByRole('button', { name: 'Créer le compte' })
  await dialog.getByLabel('Utilisateur').fill(NAME)
  await dialog.getByLabel('Mot de passe', { exact: true }).fill('court')
  await expect(dialog).toContainText('Encore 5 caractères au moins')
  await dialog.getByLabel('Mot de passe', { exact: true }).fill(PASSWORD)
  await dialog.getByLabel('Confirmation').fill('autre-chose-encore')
  await expect(dialog.getByRole('alert')).toHaveText('Les deux mots de passe diffèrent')
  await expect(create).toBeDisabled()
  await dialog.getByLabel('Confirmation').fill(PASSWORD)
  await create.click()
  await expectCockpit(page, NAME)

  await page.getByRole('button', { name: 'Déconnexion' }).click()
  await expect(page).toHaveURL(/\/login/)
  await fillLogin(page, NAME, PASSWORD)
  await expectCockpit(page, NAME)
  await page.reload()
  await expectCockpit(page, NAME)
})

test('a name that is taken is refused on its field', async ({ page }) => {
  await page.goto('/login')
  await page.getByRole('button', { name: 'Nouveau compte' }).click()
  const dialog = page.getByRole('dialog', { name: 'Nouveau compte' })
  await dialog.getByLabel('Utilisateur').fill('dac')
  await dialog.getByLabel('Mot de passe', { exact: true }).fill(PASSWORD)
  await dialog.getByLabel('Confirmation').fill(PASSWORD)
  await dialog.getByRole('button', { name: 'Créer le compte' }).click()
  await expect(dialog.getByRole('alert')).toContainText(/dac/)
  await expect(dialog).toBeVisible()
})

test.describe('development mode', () => {
  test.afterEach(async ({ api }) => {
    await api.tryPost('/api/session/debug/', { active: false })
  })

  test('the switch enters as « dev », says so, and locks the fields until it is off', async ({ page }) => {
    await page.goto('/login')
    const mode = page.getByRole('switch', { name: 'Mode développement' })
    await mode.click()
    await expectCockpit(page, 'dev')
    await expect(statusBar(page).getByText('Debug actif')).toBeVisible()
    await page.getByRole('button', { name: 'Déconnexion' }).click()
    await expect(page.getByLabel('Utilisateur')).toBeDisabled()
    await expect(page.getByLabel('Mot de passe', { exact: true })).toBeDisabled()
    await mode.click()
    await expect(page.getByLabel('Utilisateur')).toBeEnabled()
  })
})
