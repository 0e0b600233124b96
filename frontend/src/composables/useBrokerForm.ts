import { computed, reactive, ref, watch } from 'vue'
import { testBroker, testKeys, type Broker, type ConnectionTest } from '@/api/brokers'
import { useBrokers } from '@/stores/brokers'
import { useAction } from './useAsync'

const LABELS: Record<string, string> = {
  apiKey: 'Clé API',
  secret: 'Secret',
  password: 'Phrase secrète',
  uid: 'Identifiant (UID)',
  accountId: 'Numéro de compte',
  login: 'Identifiant',
  privateKey: 'Clé privée',
  walletAddress: 'Adresse du portefeuille',
  token: 'Jeton',
  twofa: 'Code 2FA',
}
const PUBLIC = new Set(['apiKey', 'walletAddress', 'uid', 'accountId', 'login'])
const SIMEX = 'simex'

export interface CredentialField {
  name: string
  label: string
  isPublic: boolean
}

/** The fields of the broker's window: a new one, or `edited` whose keys are typed only to replace them. */
export function useBrokerForm(edited: () => Broker | null) {
  const brokers = useBrokers()
  const exchangeId = ref('')
  const name = ref('')
  const isTestnet = ref(false)
  const isDefault = ref(false)
  const isActive = ref(true)
  const result = ref<ConnectionTest | null>(null)
  const credentials = reactive<Record<string, string>>({})

  const exchange = computed(() => brokers.exchanges.find((one) => one.id === exchangeId.value) ?? null)
  const fields = computed<CredentialField[]>(() =>
    (exchange.value?.required_credentials ?? []).map((field) => ({ name: field, label: LABELS[field] ?? field, isPublic: PUBLIC.has(field) })),
  )
  const typed = computed(() => fields.value.filter((field) => (credentials[field.name] ?? '').trim() !== ''))
  const complete = computed(() => exchange.value !== null && typed.value.length === fields.value.length)
  const simulated = computed(() => exchangeId.value === SIMEX)
  const networkChanged = computed(() => edited() !== null && isTestnet.value !== edited()?.is_testnet)
  /** Keys may stay empty: kept as they are, or a new simulated account. */
  const keysOptional = computed(() => (edited() !== null && !networkChanged.value) || simulated.value)
  const keysReady = computed(() => complete.value || (keysOptional.value && typed.value.length === 0))
  const testnetReason = computed(() => {
    if (!exchange.value) return 'Choisissez d’abord un exchange.'
    if (exchange.value.sandbox) return null
    return simulated.value ? 'Le Simulateur est déjà de l’argent simulé.' : `${exchange.value.name} n’offre pas de réseau de test.`
  })
  const ready = computed(() => exchange.value !== null && name.value.trim() !== '' && keysReady.value)
  const testable = computed(() => complete.value || (edited() !== null && typed.value.length === 0 && !networkChanged.value))

  const given = (): Record<string, string> => Object.fromEntries(typed.value.map((field) => [field.name, credentials[field.name].trim()]))

  const test = useAction(async () => {
    const broker = edited()
    result.value = null
    if (broker && !typed.value.length) result.value = await testBroker(broker.id)
    else result.value = await testKeys({ exchange: exchangeId.value, credentials: given(), is_testnet: isTestnet.value })
  })

  const save = useAction(async () => {
    const broker = edited()
    const common = { name: name.value.trim(), is_testnet: isTestnet.value }
    if (!broker) return brokers.create({ ...common, exchange: exchangeId.value, credentials: given(), is_default: isDefault.value })
    return brokers.change(broker.id, {
      ...common,
      is_active: isActive.value,
      ...(isDefault.value && !broker.is_default ? { is_default: true } : {}),
      ...(typed.value.length ? { credentials: given() } : {}),
    })
  })

  function forgetKeys(): void {
    for (const field of Object.keys(credentials)) credentials[field] = ''
  }

  /** Starts over with the edited broker, or with nothing. Keys are never kept in memory. */
  function reset(): void {
    const broker = edited()
    exchangeId.value = broker?.exchange ?? ''
    name.value = broker?.name ?? ''
    isTestnet.value = broker?.is_testnet ?? false
    isDefault.value = broker?.is_default ?? false
    isActive.value = broker?.is_active ?? true
    forgetKeys()
    result.value = null
    test.error.value = save.error.value = null
  }

  watch(exchangeId, (id) => {
    if (edited()?.exchange === id) return
    forgetKeys()
    isTestnet.value = false
  })
  // What was tested must be what is saved.
  watch([exchangeId, isTestnet, credentials], () => {
    result.value = null
    test.error.value = null
  })

  return {
    exchangeId, name, isTestnet, isDefault, isActive, credentials, exchange, fields, simulated, networkChanged, keysOptional,
    testnetReason, ready, testable, test, result, save, reset,
  }
}

export type BrokerForm = ReturnType<typeof useBrokerForm>
