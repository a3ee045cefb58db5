// A page whose server was started anew holds nothing that the new one knows: it loads again, once. What was typed is
// kept in the browser. Where the browser keeps no cookies this would go on for ever, so not twice in a minute.
(() => {
  const ask = window.fetch;
  window.fetch = async (...request) => {
    const answer = await ask(...request);
    if (answer.headers.get('x-rollout-page') === 'stale') {
      const last = Number(sessionStorage.getItem('rollout-reloaded'));
      if (Date.now() - last > 60000) {
        sessionStorage.setItem('rollout-reloaded', String(Date.now()));
        window.location.reload();
      }
    }
    return answer;
  };
})();
