import { createPinia, setActivePinia } from 'pinia'
import { expect, it } from 'vitest'
import { makeRouter } from './router'
import { useSession } from './stores/session'
import { useToasts } from './stores/toasts'
import { session } from './testing/samples'

it.each([
  ['/trading', 'trading'],
  ['/tradnig', 'unknown'],
  ['/stats/2026', 'unknown'],
  ['/login', 'login'],
])('%s is the page %s', (path, name) => expect(makeRouter().resolve(path).name).toBe(name))

it('says that a page cannot be opened when its code does not come', async () => {
  setActivePinia(createPinia())
  useSession().session = session()
  const router = makeRouter()
  const gone = (): Promise<never> => Promise.reject(new TypeError('Failed to fetch dynamically imported module'))
  router.addRoute({ path: '/essai', meta: { title: 'Essai' }, component: gone })
  await router.push('/essai').catch(() => undefined)
  expect(useToasts().toasts.map((toast) => toast.title)).toEqual(['Page « Essai » impossible à ouvrir'])
})
