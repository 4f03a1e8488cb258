%% The start of a connection: TCP or TLS, and the proofs that both ends have the secret (docs/emqx-link.md, "Start of a
%% connection").
%%
%% It runs in the process of the connection, which waits here, and throws `{Kind, Text}` where the connection does not
%% come about.
-module(emqx_omp_handshake).

-export([open/1, problem/1, wrong_length/2]).

%% Until WELCOME: bytes of a frame, and ms.
-define(LONGEST, 4096).
-define(TIMEOUT, 5000).
%% Bytes that are read at once.
-define(READ, 65536).
%% How long one send may take, in ms.
-define(SEND_TIMEOUT, 5000).

%% What WELCOME says besides its proof: bytes of a frame, publishes without an answer and their bytes, ms.
-type terms() :: #{longest := pos_integer(), window := {pos_integer(), pos_integer()}, heartbeat := pos_integer()}.

%% Options as in emqx_omp_connection:start_link/1.
-spec open(map()) -> {gen_tcp | ssl, gen_tcp:socket() | ssl:sslsocket(), terms()}.
open(#{host := Host, port := Port, tls := Tls} = Options) ->
    Own = [
        binary,
        {active, false},
        {nodelay, true},
        {buffer, ?READ},
        {send_timeout, ?SEND_TIMEOUT},
        {send_timeout_close, true}
    ],
    {Transport, More} =
        case Tls of
            false -> {gen_tcp, []};
            _ -> {ssl, Tls}
        end,
    Families =
        case inet:parse_address(Host) of
            {ok, {_, _, _, _}} -> [inet];
            {ok, _} -> [inet6];
            {error, _} -> [inet, inet6]
        end,
    Socket = connect(Transport, Host, Port, Families, Own ++ More),
    {Transport, Socket, shake_hands({Transport, Socket}, Options)}.

connect(Transport, Host, Port, [Family | Families], Options) ->
    case Transport:connect(Host, Port, [Family | Options], ?TIMEOUT) of
        {ok, Socket} -> Socket;
        {error, nxdomain} when Families =/= [] -> connect(Transport, Host, Port, Families, Options);
        {error, Reason} -> throw({unreachable, ["it cannot be reached: ", problem(Reason)]})
    end.

shake_hands(Peer, #{index := Index, number := Number, instance := Instance, secret := Secret} = Options) ->
    #{node := Node, emqx := Emqx, plugin := Plugin} = Options,
    Deadline = now_ms() + ?TIMEOUT,
    Nonce = crypto:strong_rand_bytes(32),
    Frame = {hello, Index, Number, Instance, Nonce, Node, Emqx, Plugin},
    Hello = iolist_to_binary(emqx_omp_frames:encode(Frame)),
    write(Hello, Peer),
    {Challenge, {challenge, 1, _, _}} = expect(challenge, Deadline, Peer),
    Proof = emqx_omp_frames:encode({proof, emqx_omp_frames:prove({node, [Hello, Challenge]}, Secret())}),
    write(Proof, Peer),
    {_, {welcome, Proven, Longest, Publishes, Bytes, Heartbeat, _}} = expect(welcome, Deadline, Peer),
    crypto:hash_equals(Proven, emqx_omp_frames:prove({engine, [Hello, Challenge, Proof]}, Secret())) orelse
        throw({secret, "it has another secret"}),
    Longest >= ?LONGEST andalso Publishes > 0 andalso Bytes > 0 andalso Heartbeat > 0 orelse
        throw({protocol, "WELCOME: a limit that is too low"}),
    #{longest => Longest, window => {Publishes, Bytes}, heartbeat => Heartbeat}.

expect(Name, Deadline, Peer) ->
    Bytes = read_frame(Deadline, Peer),
    case emqx_omp_frames:decode(Bytes) of
        {ok, {refuse, 2, _}} -> throw({secret, "it has another secret"});
        {ok, {refuse, _, Text}} -> throw({refused, ["it refuses the link: ", Text]});
        {ok, {challenge, Version, _, _}} when Version =/= 1 -> throw({protocol, "CHALLENGE: another version than 1"});
        {ok, Frame} when element(1, Frame) =:= Name -> {Bytes, Frame};
        {ok, _} -> throw({protocol, [emqx_omp_frames:name(binary:first(Bytes)), " comes before its time"]});
        {error, Text} -> throw({protocol, Text})
    end.

read_frame(Deadline, Peer) ->
    case read(4, Deadline, Peer) of
        <<Length:32>> when Length > 0, Length =< ?LONGEST -> read(Length, Deadline, Peer);
        <<Length:32>> -> throw({protocol, wrong_length(Length, ?LONGEST)})
    end.

read(Length, Deadline, {Transport, Socket}) ->
    case Transport:recv(Socket, Length, max(0, Deadline - now_ms())) of
        {ok, Bytes} -> Bytes;
        {error, timeout} -> throw({hung, "it does not answer"});
        {error, closed} -> throw({unreachable, "it closes the connection"});
        {error, Reason} -> throw({unreachable, ["the connection is broken: ", problem(Reason)]})
    end.

%% In words, of a frame that cannot be.
wrong_length(0, _) -> "a frame of 0 bytes";
wrong_length(Length, Longest) -> io_lib:format("a frame of ~b bytes, more than ~b", [Length, Longest]).

%% In words, from what the sockets say.
problem({tls_alert, {_, Text}}) -> Text;
problem({options, Option}) -> io_lib:format("ssl: ~0p", [Option]);
problem(Reason) when is_atom(Reason) -> inet:format_error(Reason);
problem(Reason) -> io_lib:format("~0p", [Reason]).

write(Frame, {Transport, Socket}) ->
    case Transport:send(Socket, [<<(iolist_size(Frame)):32>>, Frame]) of
        ok -> ok;
        {error, Reason} -> throw({unreachable, ["the connection is broken: ", problem(Reason)]})
    end.

now_ms() -> erlang:monotonic_time(millisecond).
