/** The web process dies: the page says so, and recovers by itself when the launcher has restarted it. */
import { killWebServer } from '../support/instance.ts'
import { expect, expectAlive, statusBar, test } from '../support/test.ts'

test('the header says that the connection is lost, then recovers alone', async ({ api, page }) => {
  await api.login('dac')
  await page.goto('/heartbeat')
  await expectAlive(page)
  killWebServer()
  const lost = statusBar(page).getByRole('alert')
  await expect(lost).toContainText('Connexion perdue')
  await expect(statusBar(page), 'no stale « actif »').toContainText('Heartbeat inconnu')

  await expect(lost).toBeHidden({ timeout: 90_000 })
  await expectAlive(page)
  const newest = page.getByRole('list', { name: 'Signaux 1m' }).getByRole('listitem').first()
  const before = await newest.innerText()
  await expect.poll(() => newest.innerText(), 'signals arrive again').not.toBe(before)
})
