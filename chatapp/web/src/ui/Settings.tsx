import { useState } from "react";
import { useChat } from "./context";
import { Dialog } from "./Dialog";
import { useAction } from "./useAction";

/** One's own account: password, and the ways out. */
export function Settings({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Settings" onClose={onClose}>
      <ChangePassword />
      <hr />
      <SignOut />
    </Dialog>
  );
}

function ChangePassword() {
  const { api, config } = useChat();
  const { busy, problem, run } = useAction();
  const [done, setDone] = useState(false);
  const submit = (event: React.FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const data = new FormData(form);
    setDone(false);
    run(async () => {
      await api.changePassword(String(data.get("old")), String(data.get("new")));
      form.reset();
      setDone(true);
    });
  };
  return (
    <form className="stack" aria-label="Change password" onSubmit={submit}>
      <h3>Change password</h3>
      <label className="field"><span>Current password</span>
        <input name="old" type="password" required autoComplete="current-password" /></label>
      <label className="field"><span>New password</span>
        <input name="new" type="password" required minLength={config.minPassword} autoComplete="new-password" /></label>
      <p className="problem" role="alert">{problem}</p>
      {done && <p className="good" role="status">Changed. Your other sessions have ended.</p>}
      <button type="submit" disabled={busy}>Change password</button>
    </form>
  );
}

function SignOut() {
  const chat = useChat();
  const { busy, problem, run } = useAction();
  const out = (everywhere: boolean) => run(() => chat.signOut(everywhere));
  return (
    <div className="stack">
      <p className="problem" role="alert">{problem}</p>
      <button disabled={busy} onClick={() => out(false)}>Sign out</button>
      <button className="danger" disabled={busy} onClick={() => out(true)}>Sign out everywhere</button>
    </div>
  );
}
