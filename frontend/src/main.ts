import { createPinia } from 'pinia'
import { createApp } from 'vue'
import 'virtual:tokens.css'
import './design-system/theme.css'
import App from './App.vue'
import { setUnauthenticatedHandler } from './api/client'
import { makeRouter } from './router'
import { usePreferences } from './stores/preferences'
import { useSession } from './stores/session'
import { live } from './websocket/live'

const app = createApp(App)
app.use(createPinia())
usePreferences()
const router = makeRouter()
app.use(router)

function backToLogin(): void {
  const session = useSession()
  const was = session.user
  session.expire()
  if (was) void router.push({ name: 'login', query: { next: router.currentRoute.value.fullPath } })
}

setUnauthenticatedHandler(backToLogin)
live.onUnauthenticated = backToLogin
app.mount('#app')
