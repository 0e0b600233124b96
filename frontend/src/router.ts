import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'
import { useSession } from '@/stores/session'
import { useToasts } from '@/stores/toasts'

declare module 'vue-router' {
  interface RouteMeta {
    title: string
    anonymous?: boolean
  }
}

/** The eight pages of the cockpit, and the one of addresses that are none of them. */
const pages: RouteRecordRaw[] = [
  { path: 'heartbeat', name: 'heartbeat', meta: { title: 'Heartbeat' }, component: () => import('@/views/HeartbeatView.vue') },
  { path: 'trading', name: 'trading', meta: { title: 'Trading manuel' }, component: () => import('@/views/TradingView.vue') },
  { path: 'bots', name: 'bots', meta: { title: 'Trading BOT' }, component: () => import('@/views/BotsView.vue') },
  { path: 'strategies', name: 'strategies', meta: { title: 'Stratégies' }, component: () => import('@/views/StrategiesView.vue') },
  { path: 'backtest', name: 'backtest', meta: { title: 'Backtest' }, component: () => import('@/views/BacktestView.vue') },
  { path: 'webhooks', name: 'webhooks', meta: { title: 'Webhooks' }, component: () => import('@/views/WebhooksView.vue') },
  { path: 'stats', name: 'stats', meta: { title: 'Statistiques' }, component: () => import('@/views/StatsView.vue') },
  { path: 'account', name: 'account', meta: { title: 'Mon Compte' }, component: () => import('@/views/AccountView.vue') },
  // Not in the menu: reached from the services' panel, Mon Compte and any trace.
  { path: 'journaux', name: 'logs', meta: { title: 'Journaux' }, component: () => import('@/views/LogsView.vue') },
  { path: ':rest(.*)+', name: 'unknown', meta: { title: 'Adresse inconnue' }, component: () => import('@/components/layout/UnknownPage.vue') },
]

const routes: RouteRecordRaw[] = [
  { path: '/login', name: 'login', meta: { title: 'Connexion', anonymous: true }, component: () => import('@/views/LoginView.vue') },
  { path: '/', component: () => import('@/components/layout/AppShell.vue'), redirect: { name: 'heartbeat' }, children: pages },
]

/** Builds the router; nobody sees a page before the server has said who is there. */
export function makeRouter() {
  const router = createRouter({ history: createWebHistory(), routes })
  router.beforeEach(async (to) => {
    const session = useSession()
    // Without an answer the login page explains that the server is away, and offers to try again.
    if (!session.session) await session.refresh().catch(() => undefined)
    if (!session.user && !to.meta.anonymous) return { name: 'login', query: to.fullPath === '/' ? {} : { next: to.fullPath } }
    if (session.user && to.meta.anonymous) return { name: 'heartbeat' }
    return true
  })
  // A page's code comes when it is first opened: without the server, or after an upgrade, it does not come.
  router.onError((_, to) => {
    useToasts().push('bad', `Page « ${to.meta.title} » impossible à ouvrir`, 'Le serveur ne répond pas, ou Aristobot vient d’être mis à jour : rechargez la page dès que la connexion est là.')
  })
  router.afterEach((to) => {
    document.title = to.meta.title ? `${to.meta.title} — Aristobot3` : 'Aristobot3'
  })
  return router
}
