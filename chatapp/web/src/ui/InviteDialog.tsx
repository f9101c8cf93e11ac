import { useCallback, useEffect, useState } from "react";
import { sentence } from "../api";
import type { Invite } from "../model";
import { date } from "../text/times";
import { useChat } from "./context";
import { CopyField } from "./CopyField";
import { Dialog } from "./Dialog";
import { BinIcon } from "./icons";
import { useAction } from "./useAction";

/** For the administrator: makes links that let people in, and takes them back. */
export function InviteDialog({ onClose }: { onClose: () => void }) {
  const { api } = useChat();
  const { busy, problem, run } = useAction();
  const [uses, setUses] = useState(1);
  const [days, setDays] = useState(7);
  const [link, setLink] = useState("");
  const { invites, trouble, reload } = useInvites();

  return (
    <Dialog title="Invite people" onClose={onClose}>
      <form className="stack" onSubmit={(e) => {
        e.preventDefault();
        run(async () => {
          setLink(location.origin + (await api.createInvite(uses, days)).path);
          reload();
        });
      }}>
        <div className="pair">
          <NumberField label="People" value={uses} max={1000} onChange={setUses} />
          <NumberField label="Valid for days" value={days} max={90} onChange={setDays} />
        </div>
        <button className="primary" type="submit" disabled={busy}>Make a link</button>
        {link && <CopyField label="The link (shown only now)" value={link} testid="invite-link" />}
        <p className="problem" role="alert">{problem || trouble}</p>
      </form>
      {invites.length > 0 && (
        <ul className="found" aria-label="Valid links">
          {invites.map((invite) => (
            <li key={invite.id} className="invite">
              <span>{invite.usesLeft === 1 ? "For 1 person" : `For ${invite.usesLeft} people`}, until {date(invite.expiresAt)}</span>
              <button className="ghost" aria-label="Take back" title="Take back" disabled={busy}
                onClick={() => run(async () => { await api.deleteInvite(invite.id); reload(); })}><BinIcon /></button>
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  );
}

function useInvites(): { invites: Invite[]; trouble: string; reload: () => void } {
  const { api } = useChat();
  const [invites, setInvites] = useState<Invite[]>([]);
  const [trouble, setTrouble] = useState("");
  const reload = useCallback(() => {
    api.invites().then((answer) => setInvites(answer.invites), (error: unknown) => setTrouble(sentence(error)));
  }, [api]);
  useEffect(reload, [reload]);
  return { invites, trouble, reload };
}

type NumberProps = { label: string; value: number; max: number; onChange: (value: number) => void };

function NumberField({ label, value, max, onChange }: NumberProps) {
  return (
    <label className="field">
      <span>{label}</span>
      <input type="number" min={1} max={max} required value={value} onChange={(e) => onChange(e.target.valueAsNumber || 1)} />
    </label>
  );
}
