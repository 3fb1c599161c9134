/**
 * The key this page reads with. It comes in the URL's fragment, which browsers send to nobody, and stays in the tab's
 * session; the visible URL is cleaned at once, so that a photograph of the wall gives nothing away.
 */

const KEY = 'ringfence.key';
const ACCOUNT = 'ringfence.account';

/** @returns {{key: string, account: string}|null} */
export function readCredential() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (fragment.get('key')) {
    keepCredential({ key: fragment.get('key'), account: fragment.get('account') ?? '' });
    history.replaceState(null, '', location.pathname + location.search);
  }
  const key = sessionStorage.getItem(KEY);
  return key ? { key, account: sessionStorage.getItem(ACCOUNT) ?? '' } : null;
}

export function keepCredential({ key, account }) {
  sessionStorage.setItem(KEY, key);
  sessionStorage.setItem(ACCOUNT, account);
}

export function forgetCredential() {
  sessionStorage.removeItem(KEY);
  sessionStorage.removeItem(ACCOUNT);
}

/** Shows the form that asks for a key. @param {(credential: {key: string, account: string}) => void} onGiven */
export function askCredential(onGiven, complaint = '') {
  const dialog = document.getElementById('credential');
  const form = dialog.querySelector('form');
  const said = dialog.querySelector('[role=alert]');
  said.textContent = complaint;
  said.hidden = !complaint;
  form.onsubmit = (event) => {
    event.preventDefault();
    const given = { key: form.elements.key.value.trim(), account: form.elements.account.value.trim() };
    if (!given.key) return;
    form.elements.key.value = '';
    dialog.hidden = true;
    keepCredential(given);
    onGiven(given);
  };
  dialog.hidden = false;
  form.elements.key.focus();
}
